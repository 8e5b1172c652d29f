# km killed at random instants: containers go on, the Service answers meanwhile, and nothing is started anew.
. test/e2e/lib.sh
start_cluster
web web 3
ip=$(k get service web -o jsonpath='{.spec.clusterIP}')
eventually "Hello" inside curl -s -m 3 "http://$ip/"
seen() { k get pods -l app=web -o jsonpath='{range .items[*]}{.metadata.name} {.status.containerStatuses[0].containerID} {.status.containerStatuses[0].restartCount}{"\n"}{end}' | sort; }
before=$(seen)

inside python3 test/e2e/load.py "http://$ip/" 2 Hello "$DATA/stop" >"$DATA/load" &
load=$!
kills=${KILLS:-10}
for i in $(seq "$kills"); do
  stop_km -KILL
  inside curl -s -m 3 "http://$ip/" | grep -q Hello || fail "the Service does not answer without km"
  launch_km
  # Some ends come while it starts, some later.
  [ "$i" = "$kills" ] || moment "$(printf '0.%03d' $((RANDOM % 700 + 1)))"
done
await_km
k rollout status deployment web --timeout=60s
k wait --for=condition=Ready pod -l app=web --timeout=60s
after=$(seen)
[ "$before" = "$after" ] || fail "containers changed: $before / $after"
touch "$DATA/stop"
wait $load || fail "$(cat "$DATA/load")"
cat "$DATA/load"

say "the cluster still does what it is told"
k scale deployment web --replicas=4
k rollout status deployment web --timeout=60s
[ "$(k get endpointslices -l kubernetes.io/service-name=web -o jsonpath='{.items[0].endpoints[*].addresses[0]}' | wc -w)" = 4 ] || fail "not four endpoints"
say "a stop by signal is quick, with pods and streams"
k get pods -w >/dev/null 2>&1 &
k logs -f deploy/web >/dev/null 2>&1 &
begin=$(date +%s%N)
stop_km
took=$((($(date +%s%N) - begin) / 1000000))
say "stopped in $took ms"
[ "$took" -lt 3000 ] || fail "stopping took $took ms"
