# What flows between kubectl and a pod: logs -f, exec, a terminal, attach, port-forward, cp.
. test/e2e/lib.sh
start_cluster
web web 1
pod=$(k get pods -l app=web -o jsonpath='{.items[0].metadata.name}')

say "exec: streams apart, exit code, input, many bytes"
k exec "$pod" -- sh -c 'echo out; echo err >&2; exit 7' >"$DATA/o" 2>"$DATA/e" && fail "the exit code is lost" || code=$?
[ "$code" = 7 ] || fail "exit code $code"
grep -qx out "$DATA/o" && grep -qx err "$DATA/e" && ! grep -q err "$DATA/o" || fail "streams are mixed"
[ "$(echo one | k exec -i "$pod" -- sh -c 'cat; echo two')" = $'one\ntwo' ] || fail "input or its end is lost"
head -c 5000000 /dev/urandom >"$DATA/big"
[ "$(k exec -i "$pod" -- md5sum <"$DATA/big" | cut -c1-32)" = "$(md5sum <"$DATA/big" | cut -c1-32)" ] || fail "input is damaged"
# Clients before 1.29 speak SPDY, the others WebSocket.
minor=$("$KUBECTL" version --client -o json | jq -r .clientVersion.minor)
if [ "${minor%+}" -ge 29 ]; then
  expect "v5.channel.k8s.io" k exec -v=8 "$pod" -- true
else
  expect "SPDY" k exec -v=8 "$pod" -- true
fi
refuses "container no is not valid for pod" k exec "$pod" -c no -- true
refuses "not found" k exec nopod -- true
refuses "no such file" k exec "$pod" -- /no/such/program

say "exec -it: a terminal with a size"
inside python3 test/e2e/terminal.py "$KUBECTL" exec -it "$pod" -- sh

say "logs -f: follows, ends with the pod"
k run talker --image="$IMAGE" --restart=Never -- sh -c 'for i in 1 2 3 4 5; do echo line $i; sleep 0.3; done'
eventually "line 1" k logs talker
timeout 20 nsenter --net="/run/netns/$NS" "$KUBECTL" logs -f talker >"$DATA/log" || fail "logs -f does not end"
[ "$(cat "$DATA/log")" = $'line 1\nline 2\nline 3\nline 4\nline 5' ] || fail "logs -f said: $(cat "$DATA/log")"
[ "$(k logs talker --tail=2)" = $'line 4\nline 5' ] || fail "logs --tail"
expect "line 5" k logs talker --timestamps --since=1h
k delete pod talker

say "attach: to a process that reads, and its end"
k run reader --image="$IMAGE" --restart=Never -i --quiet -- sh -c 'read a; echo "got $a"' <<<"words" >"$DATA/attached" || fail "run -i: $(cat "$DATA/attached")"
grep -q "got words" "$DATA/attached" || fail "attach said: $(cat "$DATA/attached")"
k delete pod reader --wait=false

say "port-forward"
k port-forward "$pod" 18080:8080 >"$DATA/pf" 2>&1 &
forward=$!
eventually "Forwarding" cat "$DATA/pf"
for _ in 1 2 3; do expect "Hello" inside curl -s -m 5 http://127.0.0.1:18080/; done
kill $forward
k port-forward service/web 18081:80 >"$DATA/pf2" 2>&1 &
forward=$!
eventually "Forwarding" cat "$DATA/pf2"
expect "Hello" inside curl -s -m 5 http://127.0.0.1:18081/
kill $forward

say "cp both ways"
mkdir "$DATA/dir"
echo deep >"$DATA/dir/file"
k cp "$DATA/big" "$pod:/tmp/big"
k cp "$DATA/dir" "$pod:/tmp/dir"
expect deep k exec "$pod" -- cat /tmp/dir/file
k cp "$pod:/tmp/big" "$DATA/back"
cmp "$DATA/big" "$DATA/back" || fail "cp damaged a file"
k cp "$pod:/tmp/dir" "$DATA/dir2"
[ "$(cat "$DATA/dir2/file")" = deep ] || fail "cp lost a folder"
say "end"
