# After `km reset` the machine is as it was: mounts, interfaces, rules, network namespaces, cgroups, processes, files.
unset KM_PARTS
. test/e2e/lib.sh
ip netns add "$NS"
ip -n "$NS" link set lo up
STARTED=1
state() {
  echo "mounts of ours: $(grep -c "$DATA" /proc/self/mounts)"
  echo "interfaces: $(inside ip -o link | wc -l)"
  echo "addresses: $(inside ip -o address | wc -l)"
  echo "routes: $(inside ip route show table all | wc -l)"
  echo "rules: $(inside nft list ruleset | wc -l)"
  echo "namespaces: $(ip netns list | grep -c '^cni-')"
  echo "cgroups: $(find /sys/fs/cgroup -type d -path '*kubepods*' | wc -l)"
  echo "processes: $(pgrep -f "$DATA" | grep -cvx "$$")"
  echo "logs: $(find /var/log/pods /var/log/containers -mindepth 1 2>/dev/null | wc -l)"
  echo "sockets: $(ls /run/containerd/s 2>/dev/null | wc -l)"
  echo "data: $(ls "$DATA/d" 2>/dev/null | wc -l)"
}
before=$(state)
for way in running killed; do
  start_km
  IMAGE=$(k get node n1 -o jsonpath='{.status.images[*].names[*]}' | tr ' ' '\n' | grep busybox | grep -v sha256 | head -n 1)
  web web 3
  k create configmap files --from-literal=a=b
  k run v --image="$IMAGE" --overrides='{"spec":{"volumes":[{"name":"c","configMap":{"name":"files"}},{"name":"m","emptyDir":{"medium":"Memory"}}],"containers":[{"name":"v","image":"'"$IMAGE"'","command":["sleep","1000"],"volumeMounts":[{"name":"c","mountPath":"/c"},{"name":"m","mountPath":"/m"}]}]}}'
  k wait --for=condition=Ready pod/v --timeout=60s
  [ "$before" != "$(state)" ] || fail "the counts see nothing"
  [ $way = running ] || stop_km -KILL
  reset_cluster
  KM_PID=
  after=$(state)
  [ "$before" = "$after" ] || fail "left behind ($way):
$(diff <(echo "$before") <(echo "$after"))"
done
