# A Deployment behind a Service, from nothing to reset.
. test/e2e/lib.sh
start_cluster

image=$(k get node n1 -o jsonpath='{.status.images[*].names[*]}' | tr ' ' '\n' | grep busybox | grep -v sha256 | head -n 1)
[ -n "$image" ] || fail "no busybox among the node's images"
k create deployment web --image="$image" --replicas=2 --port=8080 -- httpd -f -p 8080 -h /www
k expose deployment web --port=80 --target-port=8080 --type=NodePort
k rollout status deployment web --timeout=60s
k wait --for=condition=Available deployment/web --timeout=60s

ip=$(k get service web -o jsonpath='{.spec.clusterIP}')
port=$(k get service web -o jsonpath='{.spec.ports[0].nodePort}')
address=$(k get node n1 -o jsonpath='{.status.addresses[?(@.type=="InternalIP")].address}')
eventually "Hello" inside curl -s -m 3 "http://$ip/"
eventually "Hello" inside curl -s -m 3 "http://$address:$port/"
eventually "Hello" k exec deploy/web -- sh -c 'wget -qO- http://web/'
eventually "Hello" k exec deploy/web -- sh -c 'wget -qO- http://web.default.svc.cluster.local/'
eventually "$ip" k exec deploy/web -- nslookup web.default.svc.cluster.local

k scale deployment web --replicas=5
k rollout status deployment web --timeout=60s
[ "$(k get endpoints web -o jsonpath='{.subsets[0].addresses[*].ip}' 2>/dev/null | wc -w)" = 5 ] || fail "not five endpoints"
k set env deployment/web COLOUR=blue
k rollout status deployment web --timeout=90s
eventually "blue" k exec deploy/web -- sh -c 'echo $COLOUR'
k rollout undo deployment/web
k rollout status deployment web --timeout=90s

k run once --image="$image" --restart=Never -- sh -c 'echo said by a pod'
k wait --for=jsonpath='{.status.phase}'=Succeeded pod/once --timeout=60s
eventually "said by a pod" k logs once
k delete pod once
k describe deployment web | grep -q ScalingReplicaSet || fail "describe shows no events"

# A killed km: the containers run on and the Service answers; the next km takes them over.
before=$(k get pods -o jsonpath='{.items[*].status.containerStatuses[*].containerID}')
stop_km -KILL
inside curl -s -m 3 "http://$ip/" | grep -q Hello || fail "the Service does not answer without km"
start_km
eventually "Hello" inside curl -s -m 3 "http://$ip/"
k rollout status deployment web --timeout=60s
after=$(k get pods -o jsonpath='{.items[*].status.containerStatuses[*].containerID}')
[ "$before" = "$after" ] || fail "containers changed: $before / $after"

k delete deployment,service web
k wait --for=delete pod -l app=web --timeout=60s
stop_km
inside "$KM" reset --data-dir "$DATA/d" --bridge "kme$(($$ % 10000))" --yes
[ -e "$DATA/d" ] && fail "the data directory is still there"
grep -q "$DATA" /proc/mounts && fail "mounts are left"
[ "$(inside ip -o link | wc -l)" = 1 ] || fail "interfaces are left"
inside nft list tables | grep -q km- && fail "rules are left"
pgrep -f "$DATA" && fail "processes are left"
exit 0
