# containerd killed: km starts it again, pods run on, and the node does its work afterwards.
. test/e2e/lib.sh
start_cluster
web web 2
ip=$(k get service web -o jsonpath='{.spec.clusterIP}')
eventually "Hello" inside curl -s -m 3 "http://$ip/"
seen() { k get pods -l app=web -o jsonpath='{range .items[*]}{.metadata.name} {.status.containerStatuses[0].containerID} {.status.containerStatuses[0].restartCount}{"\n"}{end}' | sort; }
before=$(seen)

for round in 1 2; do
  pid=$(cat "$DATA/d/containerd/pid")
  kill -KILL "$pid"
  inside curl -s -m 3 "http://$ip/" | grep -q Hello || fail "the Service does not answer without containerd"
  [ "$round" = 1 ] || stop_km  # the second time while no km looks
  [ "$round" = 1 ] || start_km
  for _ in $(seq 100); do
    now=$(cat "$DATA/d/containerd/pid")
    [ "$now" != "$pid" ] && kill -0 "$now" 2>/dev/null && break
    moment
  done
  [ "$now" != "$pid" ] || fail "containerd was not started again"
  eventually "Hello" k exec deploy/web -- wget -qO- "http://$ip/"
  k run after$round --image="$IMAGE" --restart=Never -- sh -c 'echo ran'
  k wait --for=jsonpath='{.status.phase}'=Succeeded pod/after$round --timeout=60s
done
expect "True" k get node n1 -o jsonpath='{.status.conditions[?(@.type=="Ready")].status}'
[ "$before" = "$(seen)" ] || fail "containers changed: $before / $(seen)"
say "what ended while containerd was away is noticed"
victim=$(k get pods -l app=web -o jsonpath='{.items[0].metadata.name}')
uid=$(k get pod "$victim" -o jsonpath='{.metadata.uid}')
kill -KILL "$(cat "$DATA/d/containerd/pid")"
for p in $(pgrep -f "httpd -f -p 8080 -h /www" || true); do
  ! grep -q "$uid" "/proc/$p/cgroup" 2>/dev/null || kill -KILL "$p" 2>/dev/null || true
done
eventually 1 k get pod "$victim" -o jsonpath='{.status.containerStatuses[0].restartCount}'
k rollout status deployment web --timeout=60s
