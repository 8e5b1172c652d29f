# Each kind's life as conformance tests go through it, where no pod must run.
. test/e2e/lib.sh
echo 'admintoken,admin,admin-uid,"system:masters"' >"$DATA/tokens.csv"
SERVER=server start_apiserver --token-auth-file "$DATA/tokens.csv" --node-monitor-grace-period=2h
python3 test/e2e/lifecycles.py "$API_PORT"
end_apiserver -TERM
say "end"
