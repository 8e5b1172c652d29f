# The official JavaScript client against a cluster: list, watch, informer, exec, logs.
. test/e2e/lib.sh
packages=$PWD/_output/tools/javascript
if ! command -v npm >/dev/null; then
  echo "skipped: there is no npm"
  exit 0
fi
if [ ! -d "$packages/node_modules/@kubernetes/client-node" ]; then
  mkdir -p "$packages"
  if ! npm install --silent --no-audit --no-fund --prefix "$packages" @kubernetes/client-node@1 >"$DATA/npm" 2>&1; then
    echo "skipped: the client cannot be had from npm: $(tail -n 1 "$DATA/npm")"
    exit 0
  fi
fi
start_cluster
cp test/e2e/javascript.mjs "$packages/"
expect "the JavaScript client works" inside node "$packages/javascript.mjs" "$IMAGE"
say "end"
