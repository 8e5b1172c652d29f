# A cluster of its own for a story: in a network namespace without a way out, on a data directory of its own. Source it, then `start_cluster`.
set -euo pipefail

KM=${KM:-$PWD/_output/local/bin/km}
NS=km-e2e-$$
DATA=$(mktemp -d /tmp/km-e2e.XXXXXX)
export KUBECONFIG=$DATA/kubeconfig
KM_PID=

inside() { nsenter --net="/run/netns/$NS" "$@"; }
k() { inside kubectl "$@"; }
fail() {
  echo "FAILED: $*"
  exit 1
}
# Retries until the command's output has the text; the state is what is waited for, the limit only ends a broken run.
eventually() {
  local text=$1 out=
  shift
  for _ in $(seq 150); do
    out=$("$@" 2>&1) && [[ $out == *"$text"* ]] && return 0
    read -rt 0.2 <> <(:) || true
  done
  fail "no \"$text\" from: $*; last: $out"
}

start_km() {
  nsenter --net="/run/netns/$NS" "$KM" up --data-dir "$DATA/d" --secure-port 6443 --write-kubeconfig "$KUBECONFIG" --node-name n1 --bridge "kme$(($$ % 10000))" \
    >"$DATA/out" 2>"$DATA/err" &
  KM_PID=$!
  eventually "The cluster is ready" cat "$DATA/out"
}
stop_km() {
  [ -n "$KM_PID" ] || return 0
  kill "${1:--TERM}" "$KM_PID" 2>/dev/null || true
  wait "$KM_PID" 2>/dev/null || true
  KM_PID=
}
start_cluster() {
  ip netns add "$NS"
  ip -n "$NS" link set lo up
  start_km
}
end_cluster() {
  local code=$?
  [ "$code" = 0 ] || tail -n 30 "$DATA/err" 2>/dev/null || true
  stop_km
  inside "$KM" reset --data-dir "$DATA/d" --bridge "kme$(($$ % 10000))" --yes || true
  ip netns del "$NS" 2>/dev/null || true
  rm -rf "$DATA"
}
trap end_cluster EXIT
