# The server's manners: it stops at once though streams are open, and answers floods without growing.
. test/e2e/lib.sh
echo 'admintoken,admin,admin-uid,"system:masters"' >"$DATA/tokens.csv"
start_apiserver --token-auth-file "$DATA/tokens.csv"
python3 test/e2e/protocol.py "$API_PORT" "$API_PID"
end_apiserver
exit 0
