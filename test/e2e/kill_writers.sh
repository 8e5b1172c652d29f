# km killed at random instants under write load: no acknowledged write is lost.
. test/e2e/lib.sh
trap 'rm -rf "$DATA"' EXIT
python3 test/e2e/kill_writers.py "$KM" "$DATA" "${KILLS:-20}"
