# The API server is asked to end: readiness fails first, requests under way are answered, watches end in order.
. test/e2e/lib.sh
if command -v cc >/dev/null; then
  cc -shared -fPIC -O1 -o "$DATA/slow.so" test/e2e/slow.c -ldl
  python3 test/e2e/shutdown.py "$KM" "$DATA"
fi
say "end"
