/* Preloaded, delays each sync by the milliseconds in the file that $SLOW_DELAY names. */
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
