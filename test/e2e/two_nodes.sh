# A control plane of separate processes and two nodes that join it, each in a network namespace of its own on one bridge.
. test/e2e/lib.sh

declare -A PIDS
run_in() {  # run_in NAMESPACE LOG COMMAND...
  local ns=$1 log=$2
  shift 2
  nsenter --net="/run/netns/$ns" "$@" >"$DATA/$log.out" 2>"$DATA/$log.err" &
  PIDS[$log]=$!
}
end_all() {
  local code=$?
  [ "$code" = 0 ] || tail -n 20 "$DATA"/*.err || true
  kill "${PIDS[@]}" 2>/dev/null || true
  wait 2>/dev/null || true
  for node in 1 2; do
    nsenter --net="/run/netns/$NS-$node" "$KM" reset --data-dir "$DATA/n$node" --bridge "kmn$node" --yes || true
    ip netns del "$NS-$node" 2>/dev/null || true
  done
  ip netns del "$NS" 2>/dev/null || true
  rm -rf "$DATA"
}
trap end_all EXIT

# The wire between the three: a bridge in the control plane's namespace.
ip netns add "$NS"
ip -n "$NS" link set lo up
ip -n "$NS" link add wire type bridge
ip -n "$NS" addr add 172.30.0.1/24 dev wire
ip -n "$NS" link set wire up
for node in 1 2; do
  ip netns add "$NS-$node"
  ip -n "$NS" link add "to$node" type veth peer name eth0 netns "$NS-$node"
  ip -n "$NS" link set "to$node" master wire up
  ip -n "$NS-$node" addr add "172.30.0.1$node/24" dev eth0
  ip -n "$NS-$node" link set lo up
  ip -n "$NS-$node" link set eth0 up
done

# Each part of the control plane by itself, under its own identity.
run_in "$NS" apiserver "$KM" apiserver --data-dir "$DATA/cp" --bind-address 172.30.0.1 --secure-port 6443 --write-kubeconfig "$KUBECONFIG"
eventually ok inside curl -sk https://172.30.0.1:6443/readyz
run_in "$NS" controllers "$KM" controller-manager --kubeconfig "$DATA/cp/controller-manager.conf" --use-service-account-credentials --root-ca-file "$DATA/cp/pki/ca.crt" \
  --service-account-private-key-file "$DATA/cp/pki/sa.key" --allocate-node-cidrs --cluster-cidr 10.244.0.0/16 --service-cluster-ip-range 10.96.0.0/16
run_in "$NS" scheduler "$KM" scheduler --kubeconfig "$DATA/cp/scheduler.conf"
eventually _ k get lease -n kube-system kube-controller-manager -o 'jsonpath={.spec.holderIdentity}'

for node in 1 2; do
  "$KM" kubeconfig --data-dir "$DATA/cp" --client-name "system:node:n$node" --org system:nodes --server https://172.30.0.1:6443 >"$DATA/n$node.conf"
  run_in "$NS-$node" "agent$node" "$KM" agent --data-dir "$DATA/n$node" --kubeconfig "$DATA/n$node.conf" --proxy-kubeconfig "$DATA/cp/kube-proxy.conf" \
    --node-name "n$node" --node-ip "172.30.0.1$node" --bridge "kmn$node"
done
eventually True k get node n1 -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}'
eventually True k get node n2 -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}'

# One pod a node; each hears the other by address and by name.
image=$(k get node n1 -o jsonpath='{.status.images[*].names[*]}' | tr ' ' '\n' | grep busybox | grep -v sha256 | head -n 1)
k create deployment web --image="$image" --replicas=4 --port=8080 -- sh -c 'hostname >/tmp/index.html; exec httpd -f -p 8080 -h /tmp'
k expose deployment web --port=80 --target-port=8080 --type=NodePort
k rollout status deployment web --timeout=60s
[ "$(k get pods -l app=web -o jsonpath='{.items[*].spec.nodeName}' | tr ' ' '\n' | sort | uniq -c | awk '{print $1 $2}' | xargs)" = "2n1 2n2" ] ||
  fail "not two pods a node: $(k get pods -o wide)"
pod1=$(k get pods -l app=web --field-selector spec.nodeName=n1 -o jsonpath='{.items[0].metadata.name}')
pod2=$(k get pods -l app=web --field-selector spec.nodeName=n2 -o jsonpath='{.items[0].metadata.name}')
ip2=$(k get pod "$pod2" -o jsonpath='{.status.podIP}')
port=$(k get service web -o jsonpath='{.spec.ports[0].nodePort}')
eventually "$pod2" k exec "$pod1" -- sh -c "wget -qO- http://$ip2:8080/"
eventually web- k exec "$pod1" -- sh -c 'wget -qO- http://web.default.svc.cluster.local/'
eventually web- inside curl -s -m 3 "http://172.30.0.11:$port/"
eventually web- inside curl -s -m 3 "http://172.30.0.12:$port/"
eventually "$pod2" k exec "$pod2" -- hostname
exit 0
