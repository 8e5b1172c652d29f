# A cluster of its own for a story: in a network namespace without a way out, on a data directory of its own. Source it, then `start_cluster`.
# With KM_PARTS=1 the cluster is made of separate processes (lib_parts.sh), otherwise it is a `km up`.
set -euo pipefail

KM=${KM:-$PWD/_output/local/bin/km}
KUBECTL=${KUBECTL:-kubectl}
NS=km-e2e-$$
BRIDGE=kme$(($$ % 10000))
DATA=$(mktemp -d /tmp/km-e2e.XXXXXX)
export KUBECONFIG=$DATA/kubeconfig
export KUBECACHEDIR=$DATA/kubectl-cache
KM_PID=
STARTED=

inside() { nsenter --net="/run/netns/$NS" "$@"; }
k() { inside "$KUBECTL" "$@"; }
say() { echo "$(date +%T) $*"; }
fail() {
  echo "FAILED: $*"
  exit 1
}
# A moment's pause without a process, for loops that look again.
moment() { read -rt "${1:-0.1}" <> <(:) || true; }
# Retries until the command's output has the text; the state is what is waited for, the limit only ends a broken run.
eventually() {
  local text=$1 out= end=$((SECONDS + 40))
  shift
  while [ $SECONDS -lt $end ]; do
    out=$("$@" 2>&1) && [[ $out == *"$text"* ]] && return 0
    moment
  done
  fail "no \"$text\" from: $*; last: $out"
}
expect() {
  local text=$1 out=
  shift
  out=$("$@" 2>&1) || fail "$* ended with $?: $out"
  [[ $out == *"$text"* ]] || fail "no \"$text\" from: $*; it said: $out"
}
# The command must fail and say the text.
refuses() {
  local text=$1 out=
  shift
  out=$("$@" 2>&1) && fail "$* did not fail: $out"
  [[ $out == *"$text"* ]] || fail "no \"$text\" from: $*; it said: $out"
}

# Starts the cluster's processes; awaits that they work.
launch_km() {
  nsenter --net="/run/netns/$NS" "$KM" up --data-dir "$DATA/d" --secure-port 6443 --write-kubeconfig "$KUBECONFIG" --node-name n1 --bridge "$BRIDGE" \
    >"$DATA/out" 2>>"$DATA/err" &
  KM_PID=$!
}
await_km() { eventually "The cluster is ready" cat "$DATA/out"; }
# All of them get the signal (-TERM); returns when they have ended. The container runtime stays.
stop_km() {
  [ -n "$KM_PID" ] || return 0
  kill "${1:--TERM}" "$KM_PID" 2>/dev/null || true
  wait "$KM_PID" 2>/dev/null || true
  KM_PID=
}
reset_cluster() { inside "$KM" reset --data-dir "$DATA/d" --bridge "$BRIDGE" --yes; }
cluster_jobs() { echo "$KM_PID"; }
tell_logs() { tail -n 30 "$DATA/err" 2>/dev/null || true; }
[ -z "${KM_PARTS:-}" ] || . test/e2e/lib_parts.sh
start_km() {
  launch_km
  await_km
}
start_cluster() {
  ip netns add "$NS"
  ip -n "$NS" link set lo up
  STARTED=1
  start_km
  IMAGE=$(k get node n1 -o jsonpath='{.status.images[*].names[*]}' | tr ' ' '\n' | grep busybox | grep -v sha256 | head -n 1)
  [ -n "$IMAGE" ] || fail "no busybox among the node's images"
}
# The API server alone, or another $SERVER, on loopback of the machine: `start_apiserver FLAG...`; its address is $URL. Ended with the story.
API_PID=
API_PORT=$((20000 + $$ % 20000))
URL=https://127.0.0.1:$API_PORT
start_apiserver() {
  "$KM" "${SERVER:-apiserver}" --data-dir "$DATA/d" --bind-address 127.0.0.1 --secure-port "$API_PORT" --write-kubeconfig "$KUBECONFIG" "$@" >"$DATA/err" 2>&1 &
  API_PID=$!
  eventually ok curl -sk "$URL/readyz"
}
# After it was asked to end, or with a signal to ask with: `end_apiserver [-TERM]`.
end_apiserver() {
  [ -z "${1:-}" ] || kill "$1" "$API_PID"
  wait "$API_PID" || true
  API_PID=
}
# A Deployment of web servers whose pods leave the Service before they end, as an operator would write it: `web NAME REPLICAS`.
web() {
  k apply -f - <<END
apiVersion: apps/v1
kind: Deployment
metadata: {name: $1}
spec:
  replicas: $2
  selector: {matchLabels: {app: $1}}
  strategy: {rollingUpdate: {maxUnavailable: 0, maxSurge: 25%}}
  template:
    metadata: {labels: {app: $1}}
    spec:
      terminationGracePeriodSeconds: 10
      containers:
      - name: web
        image: $IMAGE
        command: [sh, -c, "trap 'exit 0' TERM; httpd -f -p 8080 -h /www & wait"]
        ports: [{name: http, containerPort: 8080}]
        readinessProbe: {httpGet: {path: /, port: http}, periodSeconds: 1}
        lifecycle: {preStop: {sleep: {seconds: 2}}}
---
apiVersion: v1
kind: Service
metadata: {name: $1}
spec:
  type: NodePort
  selector: {app: $1}
  ports: [{port: 80, targetPort: http}]
END
  k rollout status deployment "$1" --timeout=${WEBWAIT:-60}s
}
end_cluster() {
  local code=$?
  if [ "$code" != 0 ]; then
    say "state at the failure"
    timeout 5 nsenter --net="/run/netns/$NS" "$KUBECTL" get pods,deployments,endpointslices -A -o wide || true
    timeout 5 nsenter --net="/run/netns/$NS" "$KUBECTL" get events -A --sort-by=.metadata.creationTimestamp 2>/dev/null | tail -n 40 || true
    tell_logs
  fi
  [ -z "$API_PID" ] || end_apiserver -KILL 2>/dev/null
  for job in $(jobs -p); do
    [[ " $(cluster_jobs) " = *" $job "* ]] || kill "$job" 2>/dev/null || true
  done
  if [ -n "$STARTED" ]; then
    stop_km
    reset_cluster >/dev/null || say "the cluster was not removed"
    ip netns del "$NS" 2>/dev/null || true
  fi
  rm -rf "$DATA"
}
trap end_cluster EXIT
