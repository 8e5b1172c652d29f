# Health and metrics of parts that run alone: open where they may be, by rights where not.
. test/e2e/lib.sh
echo 'admintoken,admin,admin-uid,"system:masters"' >"$DATA/tokens.csv"
echo 'usertoken,alice,alice-uid' >>"$DATA/tokens.csv"
start_apiserver --token-auth-file "$DATA/tokens.csv"
# Two ports that are free now.
read -r port other < <(python3 -c 'import socket
a, b = socket.socket(), socket.socket()
a.bind(("127.0.0.1", 0)), b.bind(("127.0.0.1", 0))
print(a.getsockname()[1], b.getsockname()[1])')
"$KM" scheduler --kubeconfig "$KUBECONFIG" --leader-elect=false --secure-port $port >"$DATA/scheduler" 2>&1 &
"$KM" controller-manager --kubeconfig "$KUBECONFIG" --leader-elect=false --secure-port $other >"$DATA/manager" 2>&1 &
for p in $port $other; do
  eventually ok curl -sk "https://127.0.0.1:$p/healthz"
  expect "[+]ping ok" curl -sk "https://127.0.0.1:$p/livez?verbose"
  expect "404" curl -sk -o /dev/null -w '%{http_code}' "https://127.0.0.1:$p/healthz/nothing" -H 'Authorization: Bearer admintoken'
  # Metrics are for those who may: nobody, somebody without rights, a made-up token, the administrator.
  expect '403 Forbidden: User "system:anonymous" cannot get path "/metrics"' curl -sk -w '%{http_code} ' -o "$DATA/page" "https://127.0.0.1:$p/metrics" --next -s "file://$DATA/page"
  expect 'User "alice" cannot get path "/metrics"' curl -sk -H 'Authorization: Bearer usertoken' "https://127.0.0.1:$p/metrics"
  expect "401" curl -sk -o /dev/null -w '%{http_code}' -H 'Authorization: Bearer nonsense' "https://127.0.0.1:$p/metrics"
  curl -sk -H 'Authorization: Bearer admintoken' "https://127.0.0.1:$p/metrics" >"$DATA/metrics"
  expect "process_resident_memory_bytes" cat "$DATA/metrics"
done
expect "workqueue_adds_total{name=\"deployment\"}" curl -sk -H 'Authorization: Bearer admintoken' "https://127.0.0.1:$other/metrics"
expect 'rest_client_requests_total{code="200"' curl -sk -H 'Authorization: Bearer admintoken' "https://127.0.0.1:$other/metrics"
expect "scheduler_scheduling_algorithm_duration_seconds" curl -sk -H 'Authorization: Bearer admintoken' "https://127.0.0.1:$port/metrics"
expect "apiserver_request_total" curl -sk -H 'Authorization: Bearer admintoken' "$URL/metrics"
say "end"
