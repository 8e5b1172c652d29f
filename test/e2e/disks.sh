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
  cc -shared -fPIC -O1 -o "$DATA/slow/slow.so" -x c - -ldl <<'END'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
static void wait_a_little(void) {
  FILE* f = fopen(getenv("SLOW_DELAY"), "r");
  long milliseconds = 0;
  if (f == NULL) return;
  if (fscanf(f, "%ld", &milliseconds) == 1) usleep(milliseconds * 1000);
  fclose(f);
}
int fsync(int fd) {
  wait_a_little();
  return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(fd);
}
int fdatasync(int fd) {
  wait_a_little();
  return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(fd);
}
END
  python3 test/e2e/disks.py slow "$KM" "$DATA/slow"
fi
say "end"
