# Updates of a Deployment while several connections ask its Service: not one request fails.
. test/e2e/lib.sh
start_cluster
web web 4
ip=$(k get service web -o jsonpath='{.spec.clusterIP}')
eventually "Hello" inside curl -s -m 3 "http://$ip/"

inside python3 test/e2e/load.py "http://$ip/" 6 Hello "$DATA/stop" >"$DATA/load" &
load=$!
for round in 1 2; do
  k set env deployment/web ROUND=$round
  k rollout status deployment web --timeout=90s
done
say "scale"
k scale deployment web --replicas=8
k rollout status deployment web --timeout=60s
k scale deployment web --replicas=2
k wait --for=jsonpath='{.status.replicas}'=2 deployment/web --timeout=60s
say "delete pods one by one"
for _ in 1 2; do
  k delete "$(k get pods -l app=web -o go-template='{{range .items}}{{if not .metadata.deletionTimestamp}}pod/{{.metadata.name}}{{"\n"}}{{end}}{{end}}' | head -n 1)"
  k rollout status deployment web --timeout=60s
done
touch "$DATA/stop"
wait $load || fail "$(cat "$DATA/load")"
cat "$DATA/load"

say "a pod that ends leaves the endpoints at once, and serves while it does"
pod=$(k get pods -l app=web -o jsonpath='{.items[0].metadata.name}')
k delete pod "$pod" --wait=false
slice=$(k get endpointslices -l kubernetes.io/service-name=web -o jsonpath="{.items[0].endpoints[?(@.targetRef.name==\"$pod\")].conditions}")
eventually '"ready":false' k get endpointslices -l kubernetes.io/service-name=web -o jsonpath="{.items[0].endpoints[?(@.targetRef.name==\"$pod\")].conditions}"
eventually '"terminating":true' k get endpointslices -l kubernetes.io/service-name=web -o jsonpath="{.items[0].endpoints[?(@.targetRef.name==\"$pod\")].conditions}"
k wait --for=delete "pod/$pod" --timeout=60s
