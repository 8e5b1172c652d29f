# Three hundred and more requests by identity, verb and resource, with the answer that upstream's default roles give.
. test/e2e/lib.sh
echo 'admintoken,admin,admin-uid,"system:masters"' >"$DATA/tokens.csv"
# With controllers: they put the default roles together.
SERVER=server start_apiserver --token-auth-file "$DATA/tokens.csv" --enable-admission-plugins NodeRestriction
python3 test/e2e/access.py "$API_PORT"
end_apiserver -TERM
say "end"
