# The API server on a disk that loses its end, is damaged, full or slow: nothing acknowledged is lost, and what is wrong is said.
. test/e2e/lib.sh
trap 'umount -l "$DATA/full/d" 2>/dev/null || true; end_cluster' EXIT
say "a log that is cut"
mkdir "$DATA/cut"
python3 test/e2e/disks.py cut "$KM" "$DATA/cut"

say "a full disk"
mkdir -p "$DATA/full/d"
mount -t tmpfs -o size=20m km-full "$DATA/full/d"
printf '#!/bin/sh\nmount -o remount,size=96m %s\n' "$DATA/full/d" >"$DATA/full/more"
chmod +x "$DATA/full/more"
python3 test/e2e/disks.py full "$KM" "$DATA/full"

if command -v cc >/dev/null; then
  say "a slow disk"
  mkdir "$DATA/slow"
  cc -shared -fPIC -O1 -o "$DATA/slow/slow.so" test/e2e/slow.c -ldl
  python3 test/e2e/disks.py slow "$KM" "$DATA/slow"
fi
say "end"
