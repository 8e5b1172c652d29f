# The server's manners: it stops at once though streams are open, and answers floods without growing.
. test/e2e/lib.sh
SERVER=
finish_story() {
  local code=$?
  [ "$code" = 0 ] || tail -n 20 "$DATA/log" 2>/dev/null || true
  [ -z "$SERVER" ] || { kill -KILL "$SERVER" 2>/dev/null && wait "$SERVER" 2>/dev/null; } || true
  rm -rf "$DATA"
}
trap finish_story EXIT

PORT=$((20000 + $$ % 20000))
echo 'admintoken,admin,admin-uid,"system:masters"' >"$DATA/tokens.csv"
"$KM" apiserver --data-dir "$DATA/d" --bind-address 127.0.0.1 --secure-port "$PORT" --token-auth-file "$DATA/tokens.csv" --write-kubeconfig "$KUBECONFIG" >"$DATA/log" 2>&1 &
SERVER=$!
eventually ok curl -sk "https://127.0.0.1:$PORT/readyz"
python3 test/e2e/protocol.py "$PORT" "$SERVER"
wait "$SERVER" || true
SERVER=
exit 0
