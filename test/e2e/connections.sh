# Ten thousand idle connections, watchers that do not read, and peers that vanish without a word: the server answers, keeps little, and lets go.
. test/e2e/lib.sh
COUNT=${CONNECTIONS:-10000}
PEER=$NS-peer
ulimit -n $((COUNT + 2000)) 2>/dev/null || COUNT=$(($(ulimit -n) - 2000))
ip netns add "$NS"
ip netns add "$PEER"
trap 'end_cluster; ip netns del "$PEER" 2>/dev/null; ip netns del "$NS" 2>/dev/null; true' EXIT
for ns in "$NS" "$PEER"; do ip -n "$ns" link set lo up; done
ip link add "$BRIDGE" netns "$NS" type veth peer name "$BRIDGE" netns "$PEER"
ip -n "$NS" address add 10.88.0.1/24 dev "$BRIDGE"
ip -n "$PEER" address add 10.88.0.2/24 dev "$BRIDGE"
for ns in "$NS" "$PEER"; do ip -n "$ns" link set "$BRIDGE" up; done
echo 'admintoken,admin,admin-uid,"system:masters"' >"$DATA/tokens.csv"
nsenter --net="/run/netns/$NS" "$KM" apiserver --data-dir "$DATA/d" --bind-address 10.88.0.1 --secure-port 6443 --token-auth-file "$DATA/tokens.csv" --write-kubeconfig "$KUBECONFIG" >"$DATA/err" 2>&1 &
API_PID=$!
eventually ok inside curl -sk https://10.88.0.1:6443/readyz
files() { find "/proc/$API_PID/fd" -mindepth 1 | wc -l; }
peer() { nsenter --net="/run/netns/$PEER" "$@"; }
# The peer's ports of connections to the API server.
ports() { peer ss -Htn state established dst 10.88.0.1 "$@" | awk '{ sub(".*:", "", $3); print $3 }' | sort; }

before=$(files)
say "clients that will vanish, and a controller manager of ours"
mkfifo "$DATA/hold"
nsenter --net="/run/netns/$PEER" python3 test/e2e/connections.py vanish 10.88.0.1 6443 20 <"$DATA/hold" >"$DATA/vanish" 2>&1 &
exec 9>"$DATA/hold"
eventually open cat "$DATA/vanish"
vanished=$(ports)
nsenter --net="/run/netns/$PEER" "$KM" controller-manager --kubeconfig "$KUBECONFIG" --leader-elect=false --secure-port 0 >"$DATA/manager" 2>&1 &
manager=$!
deployment() {
  inside "$KUBECTL" create deployment "$1" --image=x
  eventually "$1" inside "$KUBECTL" get replicasets -o name
}
deployment before
# Their packets are lost from now on, in both directions; new connections are not.
ours=$(comm -13 <(echo "$vanished") <(ports))
[ -n "$ours" ] || fail "the controller manager has no connection"
peer nft -f - <<END
table inet lost {
  set lost { type inet_service; elements = { $(echo $vanished $ours | tr ' ' ',') } }
  chain out { type filter hook output priority 0; tcp sport @lost drop; }
  chain in { type filter hook input priority 0; tcp dport @lost drop; }
}
END
lost=$SECONDS
# Events under way to the watches that vanished.
inside "$KUBECTL" create configmap lost

say "the controller manager notices and watches again"
inside "$KUBECTL" create deployment after --image=x
until inside "$KUBECTL" get replicasets -o name | grep -q after; do
  [ $((SECONDS - lost)) -lt 75 ] || fail "the controller manager has not noticed"
  moment 0.5
done
say "after $((SECONDS - lost)) s"

say "watchers that do not read"
inside python3 test/e2e/connections.py slow 10.88.0.1 6443 100 "$API_PID"
say "$COUNT idle connections"
inside python3 test/e2e/connections.py idle 10.88.0.1 6443 "$COUNT" "$API_PID"

say "the server lets go of who vanished"
kill "$manager"
wait "$manager" || true
gone() { [ "$(inside ss -Htn state established src 10.88.0.1:6443 dst 10.88.0.2 | wc -l)" = 0 ]; }
until gone; do
  [ $((SECONDS - lost)) -lt 200 ] || fail "$(inside ss -tn state established src 10.88.0.1:6443)"
  moment 0.5
done
say "after $((SECONDS - lost)) s"
eventually "" test "$(files)" -le $((before + 10))
exec 9>&-
end_apiserver -TERM
say "end"
