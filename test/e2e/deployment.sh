# A Deployment behind a Service as kubectl's user makes it: create, expose, names, scale, update, undo, delete.
. test/e2e/lib.sh
start_cluster
[ -n "${KM_PARTS:-}" ] || refuses "is in use by another km" inside "$KM" up --data-dir "$DATA/d" --secure-port 6444 --bridge "$BRIDGE"

k create deployment web --image="$IMAGE" --replicas=2 --port=8080 -- httpd -f -p 8080 -h /www
# The first process of a container ignores a signal that it does not handle.
k patch deployment web -p '{"spec":{"template":{"spec":{"terminationGracePeriodSeconds":1}}}}'
k expose deployment web --port=80 --target-port=8080 --type=NodePort
k rollout status deployment web --timeout=60s
k wait --for=condition=Available deployment/web --timeout=60s

ip=$(k get service web -o jsonpath='{.spec.clusterIP}')
port=$(k get service web -o jsonpath='{.spec.ports[0].nodePort}')
address=$(k get node n1 -o jsonpath='{.status.addresses[?(@.type=="InternalIP")].address}')
# From the host, and from a pod: by address, by node port and by each form of the name.
eventually "Hello" inside curl -s -m 3 "http://$ip/"
eventually "Hello" inside curl -s -m 3 "http://$address:$port/"
for url in "$ip" "$address:$port" web web.default web.default.svc web.default.svc.cluster.local; do
  eventually "Hello" k exec deploy/web -- sh -c "wget -qO- http://$url/"
done
eventually "$ip" k exec deploy/web -- nslookup web.default.svc.cluster.local
expect "10.96.0.1" k exec deploy/web -- nslookup kubernetes.default.svc.cluster.local
expect "nameserver 10.96.0.10" k exec deploy/web -- cat /etc/resolv.conf

say "scale to 20"
k scale deployment web --replicas=20
k rollout status deployment web --timeout=60s
[ "$(k get endpoints web -o jsonpath='{.subsets[0].addresses[*].ip}' 2>/dev/null | wc -w)" = 20 ] || fail "not twenty endpoints"
k scale deployment web --replicas=3
k wait --for=jsonpath='{.status.replicas}'=3 deployment/web --timeout=30s
k rollout status deployment web --timeout=60s

say "update and undo"
k set env deployment/web COLOUR=blue
k rollout status deployment web --timeout=90s
eventually "blue" k exec deploy/web -- sh -c 'echo $COLOUR'
[ "$(k rollout history deployment/web | grep -c '^[0-9]')" = 3 ] || fail "not three revisions"
k rollout undo deployment/web
k rollout status deployment web --timeout=90s
eventually "none" k exec deploy/web -- sh -c 'echo ${COLOUR:-none}'

expect "ScalingReplicaSet" k describe deployment web
expect "Started" k describe pod -l app=web
expect "Endpoints:" k describe service web
expect "kubelet" k describe node n1

say "delete"
k delete deployment,service web
k wait --for=delete pod -l app=web --timeout=60s
say "gone"
refuses "NotFound" k get service web
[ -z "$(k get endpointslices -l kubernetes.io/service-name=web -o name)" ] || moment 1
[ -z "$(k get endpointslices -l kubernetes.io/service-name=web -o name)" ] || fail "endpoint slices are left"
say "end"
