/* What holds a pod's namespaces: waits for the signal to end, and buries the pod's orphans. Freestanding: no C library. */
static long call4(long n, long a, long b, long c, long d) {
  long r;
  register long r10 __asm__("r10") = d;
  __asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
  return r;
}

enum { SYS_rt_sigprocmask = 14, SYS_wait4 = 61, SYS_exit = 60, SYS_rt_sigtimedwait = 128 };
enum { SIG_INT = 2, SIG_TERM = 15, SIG_CHLD = 17, SIG_BLOCK = 0, NO_HANG = 1 };

void _start(void) {
  unsigned long set = (1ul << (SIG_INT - 1)) | (1ul << (SIG_TERM - 1)) | (1ul << (SIG_CHLD - 1));
  call4(SYS_rt_sigprocmask, SIG_BLOCK, (long)&set, 0, 8);
  for (;;) {
    long signal = call4(SYS_rt_sigtimedwait, (long)&set, 0, 0, 8);
    if (signal == SIG_INT || signal == SIG_TERM) call4(SYS_exit, 0, 0, 0, 0);
    while (call4(SYS_wait4, -1, 0, NO_HANG, 0) > 0) {
    }
  }
}
