# Smuggled requests, tricks with paths and headers, bombs and floods: refused, memory bounded, no secret in the log.
. test/e2e/lib.sh
echo 'admintoken,admin,admin-uid,"system:masters"' >"$DATA/tokens.csv"
start_apiserver --token-auth-file "$DATA/tokens.csv" --v=4
python3 test/e2e/attacks.py "$API_PORT" "$API_PID" "$DATA/err"
end_apiserver -TERM
say "end"
