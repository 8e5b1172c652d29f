# Watchers over random writes, lost connections and compactions see each event once and in order; what clients read and write is linearizable.
. test/e2e/lib.sh
echo 'admintoken,admin,admin-uid,"system:masters"' >"$DATA/tokens.csv"
start_apiserver --token-auth-file "$DATA/tokens.csv" ${COMPACTION:+--etcd-compaction-interval=$COMPACTION}
python3 test/e2e/watchers.py "$API_PORT" "${WATCHERS:-40}" "${WRITES:-2000}"
python3 test/e2e/linear.py "${OPERATIONS:-3000}" "$API_PORT"
end_apiserver -TERM
say "end"
