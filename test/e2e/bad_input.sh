# What a user or a broken machine can do wrong: each time a clear error, and nothing is lost.
. test/e2e/lib.sh

# answered STATUS TEXT CURL-ARGUMENTS...: the status, and a body with the text.
answered() {
  local status=$1 text=$2 out
  shift 2
  out=$(curl -sk --cert "$DATA/admin.crt" --key "$DATA/admin.key" -w '\n%{http_code}' "$@") || true
  [[ $out == *$'\n'"$status" ]] || fail "not $status from $*: $out"
  [[ $out == *"$text"* ]] || fail "no \"$text\" from $*: $out"
}

# The command line.
refuses "unknown flag: --no-such-flag" "$KM" apiserver --no-such-flag
refuses "invalid argument \"x\"" "$KM" apiserver --secure-port x
refuses "Servers" "$KM" no-such-server
refuses "--data-dir" "$KM" apiserver --data-dir
refuses "/proc/km" "$KM" apiserver --data-dir /proc/km --secure-port "$API_PORT"
refuses "no-such-tokens" "$KM" apiserver --data-dir "$DATA/x" --secure-port "$API_PORT" --token-auth-file "$DATA/no-such-tokens"
refuses "no-such-cert" "$KM" apiserver --data-dir "$DATA/x" --secure-port "$API_PORT" --tls-cert-file "$DATA/no-such-cert" --tls-private-key-file "$DATA/no-such-key"
refuses "10.96" "$KM" apiserver --data-dir "$DATA/x" --secure-port "$API_PORT" --service-cluster-ip-range 10.96.0.0/99

# Ports, data directories, certificates.
start_apiserver
refuses "ddress already in use" "$KM" apiserver --data-dir "$DATA/other" --bind-address 127.0.0.1 --secure-port "$API_PORT"
refuses "in use" "$KM" apiserver --data-dir "$DATA/d" --bind-address 127.0.0.1 --secure-port $((API_PORT + 1))
"$KUBECTL" config view --raw -o 'jsonpath={.users[0].user.client-certificate-data}' | base64 -d >"$DATA/admin.crt"
"$KUBECTL" config view --raw -o 'jsonpath={.users[0].user.client-key-data}' | base64 -d >"$DATA/admin.key"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /O=system:masters/CN=admin -keyout "$DATA/bad.key" -out "$DATA/bad.crt" 2>/dev/null
[ "$(curl -sk --cert "$DATA/bad.crt" --key "$DATA/bad.key" -o /dev/null -w '%{http_code}' "$URL/api/v1/nodes")" != 200 ] || fail "a foreign certificate was let in"
[ "$(curl -sk -H 'Authorization: Bearer nonsense' -o /dev/null -w '%{http_code}' "$URL/api/v1/nodes")" = 401 ] || fail "a made-up token was not refused"
refuses "certificate" curl -sS "$URL/api"

# Requests.
answered 400 'BadRequest' -X POST -H 'Content-Type: application/json' --data '{"metadata":' "$URL/api/v1/namespaces/default/configmaps"
answered 415 'UnsupportedMediaType' -X POST -H 'Content-Type: text/plain' --data 'x' "$URL/api/v1/namespaces/default/configmaps"
answered 400 '' -X POST -H 'Content-Type: application/vnd.kubernetes.protobuf' --data-binary 'k8s nonsense' "$URL/api/v1/namespaces/default/configmaps"
head -c 4000000 /dev/zero | tr '\0' 'x' >"$DATA/huge"
{ printf '{"metadata":{"name":"huge"},"data":{"a":"' && cat "$DATA/huge" && printf '"}}'; } >"$DATA/huge.json"
answered 413 'RequestEntityTooLarge' -X POST -H 'Content-Type: application/json' --data-binary "@$DATA/huge.json" "$URL/api/v1/namespaces/default/configmaps"
python3 -c "print('{\"metadata\":{\"name\":\"deep\"},\"data\":' + '[' * 20000 + ']' * 20000 + '}')" >"$DATA/deep.json"
answered 400 '' -X POST -H 'Content-Type: application/json' --data-binary "@$DATA/deep.json" "$URL/api/v1/namespaces/default/configmaps"
answered 404 '404 page not found' "$URL/no/such/path"
refuses 'strict decoding error: unknown field "dat"' "$KUBECTL" create -f - <<<'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"},"dat":{}}'

# A store that is damaged is refused, and restored from a backup.
"$KUBECTL" create configmap kept --from-literal=key=value
end_apiserver -TERM
"$KM" backup --data-dir "$DATA/d" "$DATA/backup"
refuses "exists" "$KM" backup --data-dir "$DATA/d" "$DATA/backup"
for file in "$DATA"/d/store/*; do
  [ "$(stat -c %s "$file")" -gt 200 ] && case $file in *.log | *.sst) printf 'damage' | dd of="$file" bs=1 seek=100 conv=notrunc status=none ;; esac
done
refuses "km restore" "$KM" apiserver --data-dir "$DATA/d" --bind-address 127.0.0.1 --secure-port "$API_PORT"
cut -b 1-200 <"$DATA/backup" >"$DATA/cut"
refuses "damaged" "$KM" restore --data-dir "$DATA/d" "$DATA/cut"
"$KM" restore --data-dir "$DATA/d" "$DATA/backup"
start_apiserver
[ "$("$KUBECTL" get configmap kept -o jsonpath='{.data.key}')" = value ] || fail "the restored store lacks what was written"
end_apiserver -TERM
exit 0
