# km on a real etcd: two control planes on a cluster of three members with TLS; members that die, stall and lose their history; a full store; km
# killed under write load; the store copied there and back. ETCD names another etcd than that of the PATH.
. test/e2e/lib.sh
ETCD=${ETCD:-$(command -v etcd || echo /usr/bin/etcd)}
if [ ! -x "$ETCD" ]; then
  echo "skipped, for want of: etcd"
  rm -rf "$DATA"
  trap - EXIT
  exit 0
fi
say "$("$ETCD" --version | head -n 1)"

PIDS=()
end_story() {
  local code=$?
  if [ "$code" != 0 ]; then
    say "state at the failure"
    for log in "$DATA"/[a-e].log; do
      echo "--- $log"
      tail -n 15 "$log" | cut -c 1-300
    done
  fi
  for pid in "${PIDS[@]}"; do kill -KILL "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  ip netns del "$NS" 2>/dev/null || true
  rm -rf "$DATA"
}
trap end_story EXIT
ip netns add "$NS"
ip -n "$NS" link set lo up
ip -n "$NS" address add 10.77.0.1/32 dev lo
ip -n "$NS" address add 10.77.0.2/32 dev lo

# --- an authority, and certificates of etcd and of its clients
tls=$DATA/tls
mkdir "$tls"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$tls/ca.key" -out "$tls/ca.crt" -days 2 -subj /CN=etcd-ca 2>/dev/null
certificate() {
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$tls/$1.key" -out "$tls/$1.csr" -subj "/CN=$1" 2>/dev/null
  openssl x509 -req -in "$tls/$1.csr" -CA "$tls/ca.crt" -CAkey "$tls/ca.key" -CAcreateserial -out "$tls/$1.crt" -days 2 \
    -extfile <(echo "subjectAltName=IP:127.0.0.1"; echo "extendedKeyUsage=serverAuth,clientAuth") 2>/dev/null
}
certificate server
certificate client

# --- a cluster of three
cluster="m1=https://127.0.0.1:2381,m2=https://127.0.0.1:2382,m3=https://127.0.0.1:2383"
urls="https://127.0.0.1:2371,https://127.0.0.1:2372,https://127.0.0.1:2373"
declare -A MEMBER
start_member() {
  nsenter --net="/run/netns/$NS" "$ETCD" --name "m$1" --data-dir "$DATA/m$1" --listen-client-urls "https://127.0.0.1:237$1" --advertise-client-urls "https://127.0.0.1:237$1" \
    --listen-peer-urls "https://127.0.0.1:238$1" --initial-advertise-peer-urls "https://127.0.0.1:238$1" --initial-cluster "$cluster" \
    --client-cert-auth --trusted-ca-file "$tls/ca.crt" --cert-file "$tls/server.crt" --key-file "$tls/server.key" \
    --peer-client-cert-auth --peer-trusted-ca-file "$tls/ca.crt" --peer-cert-file "$tls/server.crt" --peer-key-file "$tls/server.key" \
    --logger zap >>"$DATA/m$1.log" 2>&1 &
  MEMBER[$1]=$!
  PIDS+=($!)
}
end_member() {
  kill -KILL "${MEMBER[$1]}"
  wait "${MEMBER[$1]}" 2>/dev/null || true
}
# etcd's own API as JSON: `etcd_api URL PATH BODY`.
etcd_api() { inside curl -s --cacert "$tls/ca.crt" --cert "$tls/client.crt" --key "$tls/client.key" "$1/v3/$2" -d "$3"; }
for i in 1 2 3; do start_member $i; done
for i in 1 2 3; do eventually '"health":"true"' inside curl -s --cacert "$tls/ca.crt" --cert "$tls/client.crt" --key "$tls/client.key" "https://127.0.0.1:237$i/health"; done
say "three members"

# --- two control planes with one authority
echo 'admintoken,admin,admin-uid,"system:masters"' >"$DATA/tokens.csv"
store_flags=(--etcd-servers "$urls" --etcd-cafile "$tls/ca.crt" --etcd-certfile "$tls/client.crt" --etcd-keyfile "$tls/client.key")
declare -A SERVER
start_server() {
  local name=$1 address=$2
  nsenter --net="/run/netns/$NS" "$KM" server --data-dir "$DATA/$name" --bind-address "$address" --secure-port 6443 --token-auth-file "$DATA/tokens.csv" \
    --write-kubeconfig "$DATA/$name.kubeconfig" --leader-elect-lease-duration 6s --leader-elect-renew-deadline 4s --leader-elect-retry-period 1s \
    --etcd-compaction-interval 3s "${store_flags[@]}" >>"$DATA/$name.log" 2>&1 &
  SERVER[$name]=$!
  PIDS+=($!)
}
ready() { eventually ok inside curl -sk "https://$1:6443/readyz"; }
http() { inside python3 test/e2e/etcd.py "$1" 10.77.0.1:6443 10.77.0.2:6443 "${2:-}"; }
# Of a list of namespaces, which is the store's.
store_revision() {
  inside curl -sk -H "Authorization: Bearer admintoken" "https://$1/api/v1/namespaces" | python3 -c 'import json, sys; print(json.load(sys.stdin)["metadata"]["resourceVersion"])'
}
start_server a 10.77.0.1
ready 10.77.0.1
mkdir -p "$DATA/b/pki"
cp -r "$DATA/a/pki/." "$DATA/b/pki/"
start_server b 10.77.0.2
ready 10.77.0.2
export KUBECONFIG=$DATA/a.kubeconfig
ka() { inside "$KUBECTL" --kubeconfig "$DATA/a.kubeconfig" "$@"; }
kb() { inside "$KUBECTL" --kubeconfig "$DATA/b.kubeconfig" "$@"; }

say "the Service kubernetes lists both"
eventually "10.77.0.1 10.77.0.2" ka get endpoints kubernetes -o jsonpath='{.subsets[*].addresses[*].ip}'
eventually "10.77.0.1 10.77.0.2" kb get endpointslice kubernetes -o jsonpath='{.endpoints[*].addresses[*]}'

say "what one server has acknowledged the other one shows"
http consistency
say "services made by both at once"
http services

say "controllers run once, whichever server is asked"
kb create deployment web --image=x --replicas=3
eventually "Pending Pending Pending" ka get pods -l app=web -o jsonpath='{.items[*].status.phase}'
[ "$(ka get pods -l app=web --no-headers | wc -l)" = 3 ] || fail "not three pods"
holder=$(ka get lease -n kube-system kube-controller-manager -o jsonpath='{.spec.holderIdentity}')
[ -n "$holder" ] || fail "nobody leads"

say "the leader is killed: the other takes over, and stands alone in the endpoints"
kill -KILL "${SERVER[a]}"
wait "${SERVER[a]}" 2>/dev/null || true
kb scale deployment web --replicas=5
for i in $(seq 300); do
  [ "$(kb get pods -l app=web --no-headers 2>/dev/null | wc -l)" = 5 ] && break
  moment
done
[ "$(kb get pods -l app=web --no-headers | wc -l)" = 5 ] || fail "no controllers after the leader's end"
end=$((SECONDS + 40))
until [ "$(kb get endpoints kubernetes -o jsonpath='{.subsets[*].addresses[*].ip}' 2>/dev/null)" = 10.77.0.2 ]; do
  [ $SECONDS -lt $end ] || fail "the dead server stays in the endpoints"
  moment 0.5
done
start_server a 10.77.0.1
ready 10.77.0.1
eventually "10.77.0.1 10.77.0.2" kb get endpoints kubernetes -o jsonpath='{.subsets[*].addresses[*].ip}'

say "one member is killed"
http write 200 >"$DATA/writes" &
writer=$!
moment 0.3
end_member 1
wait $writer || fail "$(cat "$DATA/writes")"
say "$(cat "$DATA/writes")"
http write 100
start_member 1
eventually '"health":"true"' inside curl -s --cacert "$tls/ca.crt" --cert "$tls/client.crt" --key "$tls/client.key" "https://127.0.0.1:2371/health"

say "each member stalls in turn"
for i in 1 2 3; do
  kill -STOP "${MEMBER[$i]}"
  http write 50
  http consistency
  kill -CONT "${MEMBER[$i]}"
done

say "history is compacted: an old watch is told so"
eventually 410 http expired

say "a server that slept through a compaction reads all again"
kill -STOP "${SERVER[b]}"
ka create configmap meanwhile --from-literal=a=b
ka create configmap gone-again --from-literal=a=b
ka delete configmap gone-again
for i in 1 2 3; do end_member $i; done
for i in 1 2 3; do start_member $i; done
ready 10.77.0.1
http write 5 >/dev/null
now=$(store_revision 10.77.0.1:6443)
expect revision etcd_api https://127.0.0.1:2371 kv/compaction "{\"revision\": \"$now\"}"
kill -CONT "${SERVER[b]}"
ready 10.77.0.2
expect "b" kb get configmap meanwhile -o jsonpath='{.data.a}'
refuses "NotFound" kb get configmap gone-again
http consistency
grep -q "Listed again" "$DATA/b.log" || fail "b did not list again"

say "without a majority nothing is written and readiness says so; then all goes on"
kill -STOP "${MEMBER[2]}" "${MEMBER[3]}"
end=$((SECONDS + 40))
until [[ $(inside curl -sk "https://10.77.0.1:6443/readyz") == *"[-]etcd failed"* ]]; do
  [ $SECONDS -lt $end ] || fail "readiness does not see that etcd is gone"
  moment
done
code=$(inside curl -sk -o "$DATA/answer" -w '%{http_code}' -H "Authorization: Bearer admintoken" -X POST -H "Content-Type: application/json" \
  "https://10.77.0.1:6443/api/v1/namespaces/default/configmaps" -d '{"metadata":{"name":"no-majority"}}')
case $code in
  500 | 503 | 504) ;;
  *) fail "without a majority a write answered $code: $(cat "$DATA/answer")" ;;
esac
say "a write answered $code: $(grep -o '"message":.*' "$DATA/answer" | head -n 1)"
kill -CONT "${MEMBER[2]}" "${MEMBER[3]}"
ready 10.77.0.1
ready 10.77.0.2
http consistency

say "both servers stop in order: the endpoints follow"
kill -TERM "${SERVER[b]}"
wait "${SERVER[b]}" || true
eventually "10.77.0.1" ka get endpoints kubernetes -o jsonpath='{.subsets[*].addresses[*].ip}'
[ "$(ka get endpoints kubernetes -o jsonpath='{.subsets[*].addresses[*].ip}' 2>/dev/null)" = 10.77.0.1 ] || fail "a stopped server stays in the endpoints"
count=$(ka get configmaps -A --no-headers | wc -l)
uid=$(ka get deployment web -o jsonpath='{.metadata.uid}')
kill -TERM "${SERVER[a]}"
wait "${SERVER[a]}" || true

say "the store is copied into a data directory, served from there, and copied back"
inside "$KM" store copy --from "$urls" --to "$DATA/c" --etcd-cafile "$tls/ca.crt" --etcd-certfile "$tls/client.crt" --etcd-keyfile "$tls/client.key"
cp -r "$DATA/a/pki" "$DATA/c/pki"
nsenter --net="/run/netns/$NS" "$KM" apiserver --data-dir "$DATA/c" --bind-address 10.77.0.1 --secure-port 6443 --token-auth-file "$DATA/tokens.csv" >>"$DATA/c.log" 2>&1 &
copy=$!
PIDS+=($copy)
ready 10.77.0.1
[ "$(ka get deployment web -o jsonpath='{.metadata.uid}')" = "$uid" ] || fail "the copy has another Deployment"
[ "$(ka get configmaps -A --no-headers | wc -l)" = "$count" ] || fail "the copy has not all ConfigMaps"
ka create configmap from-the-copy --from-literal=a=b
kill -TERM $copy
wait $copy || true
refuses "the target holds" inside "$KM" store copy --from "$DATA/c" --to "$urls" --etcd-cafile "$tls/ca.crt" --etcd-certfile "$tls/client.crt" --etcd-keyfile "$tls/client.key"
inside "$KM" store copy --force --from "$DATA/c" --to "$urls" --etcd-cafile "$tls/ca.crt" --etcd-certfile "$tls/client.crt" --etcd-keyfile "$tls/client.key"
start_server a 10.77.0.1
ready 10.77.0.1
expect b ka get configmap from-the-copy -o jsonpath='{.data.a}'
[ "$(ka get deployment web -o jsonpath='{.metadata.uid}')" = "$uid" ] || fail "the Deployment is another after the way back"
kill -TERM "${SERVER[a]}"
wait "${SERVER[a]}" || true

say "km is killed under write load"
mkdir "$DATA/k"
inside python3 test/e2e/kill_writers.py "$KM" "$DATA/k" "${KILLS:-8}" "${store_flags[@]}"

say "a full etcd says so, and is used again once it has space"
nsenter --net="/run/netns/$NS" "$ETCD" --data-dir "$DATA/small" --listen-client-urls http://127.0.0.1:2390 --advertise-client-urls http://127.0.0.1:2390 --listen-peer-urls http://127.0.0.1:2391 \
  --initial-advertise-peer-urls http://127.0.0.1:2391 --initial-cluster default=http://127.0.0.1:2391 --quota-backend-bytes 8000000 --logger zap >"$DATA/small.log" 2>&1 &
PIDS+=($!)
nsenter --net="/run/netns/$NS" "$KM" apiserver --data-dir "$DATA/e" --bind-address 10.77.0.1 --secure-port 6444 --token-auth-file "$DATA/tokens.csv" --write-kubeconfig "$DATA/e.kubeconfig" \
  --etcd-servers http://127.0.0.1:2390 >"$DATA/e.log" 2>&1 &
PIDS+=($!)
eventually ok inside curl -sk https://10.77.0.1:6444/readyz
inside python3 test/e2e/etcd.py full 10.77.0.1:6444 -
ke() { inside "$KUBECTL" --kubeconfig "$DATA/e.kubeconfig" "$@"; }
# Deletions are still taken; then history and space go, and the alarm.
ke delete configmaps --all -n default >/dev/null
now=$(store_revision 10.77.0.1:6444)
expect revision etcd_api http://127.0.0.1:2390 kv/compaction "{\"revision\": \"$now\", \"physical\": true}"
etcd_api http://127.0.0.1:2390 maintenance/defragment '{}' >/dev/null
member=$(etcd_api http://127.0.0.1:2390 maintenance/alarm '{}' | grep -o '"memberID":"[0-9]*"')
etcd_api http://127.0.0.1:2390 maintenance/alarm "{\"action\": \"DEACTIVATE\", \"alarm\": \"NOSPACE\", $member}" >/dev/null
eventually created ke create configmap again --from-literal=a=b
