# Objects by kubectl: apply of both sides with a conflict, edit, patch, get -w, wait, describe, delete.
. test/e2e/lib.sh
start_cluster

say "apply on the client's side"
cat >"$DATA/a.yaml" <<END
apiVersion: v1
kind: ConfigMap
metadata: {name: a, labels: {from: file}}
data: {one: "1", two: "2"}
END
expect "created" k apply -f "$DATA/a.yaml"
expect "unchanged" k apply -f "$DATA/a.yaml"
sed -i 's/, two: "2"//; s/one: "1"/one: "11"/' "$DATA/a.yaml"
refuses "" k diff -f "$DATA/a.yaml"
expect "configured" k apply -f "$DATA/a.yaml"
expect '{"one":"11"}' k get configmap a -o jsonpath='{.data}'

say "apply on the server's side, and a conflict"
cat >"$DATA/b.yaml" <<END
apiVersion: apps/v1
kind: Deployment
metadata: {name: b}
spec:
  replicas: 1
  selector: {matchLabels: {app: b}}
  template:
    metadata: {labels: {app: b}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: c, image: $IMAGE, command: [sleep, "1000"]}]
END
expect "serverside-applied" k apply --server-side -f "$DATA/b.yaml"
k patch deployment b -p '{"spec":{"replicas":2}}'
sed -i 's/replicas: 1/replicas: 3/' "$DATA/b.yaml"
refuses "conflict" k apply --server-side -f "$DATA/b.yaml"
expect "serverside-applied" k apply --server-side --force-conflicts -f "$DATA/b.yaml"
expect 3 k get deployment b -o jsonpath='{.spec.replicas}'

say "get -w sees what happens, wait waits for it"
timeout 30 nsenter --net="/run/netns/$NS" "$KUBECTL" get pods -w --no-headers >"$DATA/watched" &
watch=$!
eventually "b-" cat "$DATA/watched"
k rollout status deployment b --timeout=60s
k wait --for=condition=Ready pod -l app=b --timeout=60s
expect "condition met" k wait --for=jsonpath='{.status.readyReplicas}'=3 deployment/b --timeout=20s
eventually "Running" cat "$DATA/watched"

say "edit, patch, label, annotate"
cat >"$DATA/editor" <<'END'
#!/bin/sh
sed -i 's/one: "11"/one: "edited"/' "$1"
END
chmod +x "$DATA/editor"
expect "edited" env KUBE_EDITOR="$DATA/editor" nsenter --net="/run/netns/$NS" "$KUBECTL" edit configmap a
expect '{"one":"edited"}' k get configmap a -o jsonpath='{.data}'
expect "no change" env KUBE_EDITOR=true nsenter --net="/run/netns/$NS" "$KUBECTL" edit configmap a
k patch configmap a --type=json -p '[{"op":"add","path":"/data/three","value":"3"}]'
k label configmap a from=hand --overwrite
k annotate configmap a note=seen
expect "hand" k get configmap -l from=hand -o jsonpath='{.items[0].metadata.labels.from}'
expect "Data" k describe configmap a
expect "RollingUpdate" k describe deployment b
expect "Image:" k describe pod -l app=b

say "delete"
expect "deleted" k delete configmap a
refuses "NotFound" k get configmap a
k delete deployment b
k wait --for=delete pod -l app=b --timeout=60s
eventually "Terminating" cat "$DATA/watched"
kill $watch 2>/dev/null || true
say "end"
