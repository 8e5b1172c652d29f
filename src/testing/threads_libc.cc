// The C library's threads, locks, clocks and random numbers as played threads (threads.h) have them; before begin() they are the library's own. The
// linker prefers a program's own definitions to those of shared libraries, for all of the process.
#include "testing/threads.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define KM_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(coverage_sanitizer)
#define KM_SANITIZED 1
#endif
#endif

#ifdef KM_SANITIZED
bool km::testing::canPlay() { return false; }
#else
bool km::testing::canPlay() { return true; }

#include <dlfcn.h>
#include <errno.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <cstdarg>
#include <cstring>
#include <map>
#include <random>

#include "testing/played.h"

using namespace km::testing;
using played::kNever;

namespace {

// What the library would do.
template <typename F>
F* real(const char* name, const char* version = nullptr) {
  void* f = version != nullptr ? ::dlvsym(RTLD_NEXT, name, version) : nullptr;
  if (f == nullptr) f = ::dlsym(RTLD_NEXT, name);
  return reinterpret_cast<F*>(f);
}
// Without a guarded static variable: guards are among what is replaced.
#define KM_REAL(name, ...)                                               \
  (*[] {                                                                 \
    static decltype(&name) f = nullptr;                                  \
    if (f == nullptr) f = real<decltype(name)>(#name, ##__VA_ARGS__);    \
    return f;                                                            \
  }())

long rawCall(long n, long a, long b, long c, long d, long e, long f) {
#if defined(__x86_64__)
  long out;
  register long r10 asm("r10") = d;
  register long r8 asm("r8") = e;
  register long r9 asm("r9") = f;
  asm volatile("syscall" : "=a"(out) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
  if (out > -4096 && out < 0) {
    errno = static_cast<int>(-out);
    return -1;
  }
  return out;
#else
  return KM_REAL(syscall)(n, a, b, c, d, e, f);
#endif
}

int64_t nanos(const timespec* t) { return t->tv_sec * 1'000'000'000 + t->tv_nsec; }
timespec spec(int64_t n) { return {static_cast<time_t>(n / 1'000'000'000), static_cast<long>(n % 1'000'000'000)}; }
int64_t deadlineOf(clockid_t clock, const timespec* at) {
  return clock == CLOCK_REALTIME ? nanos(at) - (played::wallNow() - played::now()) : nanos(at);
}

bool isRecursive(const pthread_mutex_t* m) { return (m->__data.__kind & 3) == PTHREAD_MUTEX_RECURSIVE; }

void take(pthread_mutex_t* m) {
  m->__data.__lock = 1;
  m->__data.__owner = played::id(played::current()) + 1;
  m->__data.__count = 1;
  played::holds(1);
}

int lockPlayed(pthread_mutex_t* m, int64_t deadline) {
  if (m->__data.__lock != 0 && m->__data.__owner == played::id(played::current()) + 1) {
    if (!isRecursive(m)) played::broken("a thread waits for its own lock");
    m->__data.__count++;
    return 0;
  }
  played::maybeChange();
  while (m->__data.__lock != 0) {
    m->__data.__nusers++;
    bool woken = played::waitFor(m, deadline);
    m->__data.__nusers--;
    if (!woken) return ETIMEDOUT;
  }
  take(m);
  return 0;
}

void unlockPlayed(pthread_mutex_t* m) {
  if (--m->__data.__count > 0) return;
  m->__data.__lock = 0;
  m->__data.__owner = 0;
  played::holds(-1);
  if (m->__data.__nusers > 0) played::wake(m, false);
}

int condWait(pthread_cond_t* c, pthread_mutex_t* m, int64_t deadline) {
  unlockPlayed(m);
  bool woken = played::waitFor(c, deadline);
  lockPlayed(m, kNever);
  return woken ? 0 : ETIMEDOUT;
}

struct ReadWrite {
  int readers, writer;
};
ReadWrite& stateOf(pthread_rwlock_t* l) { return *reinterpret_cast<ReadWrite*>(l); }

long futex(int* address, int op, int value, const timespec* timeout) {
  int what = op & FUTEX_CMD_MASK;
  if (what == FUTEX_WAKE || what == FUTEX_WAKE_BITSET) return played::wake(address, value > 1);
  if (what != FUTEX_WAIT && what != FUTEX_WAIT_BITSET) played::broken("an unknown futex call");
  played::maybeChange();
  if (__atomic_load_n(address, __ATOMIC_SEQ_CST) != value) {
    errno = EAGAIN;
    return -1;
  }
  int64_t deadline = kNever;
  if (timeout != nullptr && what == FUTEX_WAIT) deadline = played::now() + nanos(timeout);
  if (timeout != nullptr && what == FUTEX_WAIT_BITSET) deadline = deadlineOf((op & FUTEX_CLOCK_REALTIME) != 0 ? CLOCK_REALTIME : CLOCK_MONOTONIC, timeout);
  if (played::waitFor(address, deadline)) return 0;
  errno = ETIMEDOUT;
  return -1;
}

void fillRandom(void* out, size_t n) {
  auto* p = static_cast<char*>(out);
  while (n > 0) {
    uint64_t r = played::random64();
    size_t k = n < 8 ? n : 8;
    std::memcpy(p, &r, k);
    p += k;
    n -= k;
  }
}

// A poller is woken by whoever changes what it waits for, as Boost.Asio interrupts itself; descriptors are never ready.
struct Poller {
  bool interrupted = false;
  epoll_event event{};
};
std::map<int, Poller>& pollers() {
  static auto* all = new std::map<int, Poller>;
  return *all;
}

}  // namespace

extern "C" {

// --- threads --------------------------------------------------------------------------------------------

int pthread_create(pthread_t* out, const pthread_attr_t* attr, void* (*body)(void*), void* argument) {
  if (!played::on) return KM_REAL(pthread_create)(out, attr, body, argument);
  *out = played::handleOf(played::create(body, argument));
  return 0;
}
int pthread_join(pthread_t t, void** result) {
  if (!played::on) return KM_REAL(pthread_join)(t, result);
  void* r = played::join(played::byHandle(t));
  if (result != nullptr) *result = r;
  return 0;
}
int pthread_detach(pthread_t t) {
  if (!played::on) return KM_REAL(pthread_detach)(t);
  played::detach(played::byHandle(t));
  return 0;
}
pthread_t pthread_self() {
  if (!played::on) return KM_REAL(pthread_self)();
  return played::handleOf(played::current());
}
int pthread_setname_np(pthread_t t, const char* name) {
  if (!played::on) return KM_REAL(pthread_setname_np)(t, name);
  played::setName(played::byHandle(t), name);
  return 0;
}
int sched_yield() {
  if (played::on) played::yield();
  return 0;
}

// --- locks ----------------------------------------------------------------------------------------------

int pthread_mutex_lock(pthread_mutex_t* m) {
  if (!played::on) return KM_REAL(pthread_mutex_lock)(m);
  return lockPlayed(m, kNever);
}
int pthread_mutex_trylock(pthread_mutex_t* m) {
  if (!played::on) return KM_REAL(pthread_mutex_trylock)(m);
  if (m->__data.__lock != 0) {
    if (!isRecursive(m) || m->__data.__owner != played::id(played::current()) + 1) return EBUSY;
    m->__data.__count++;
    return 0;
  }
  take(m);
  return 0;
}
int pthread_mutex_timedlock(pthread_mutex_t* m, const timespec* at) {
  if (!played::on) return KM_REAL(pthread_mutex_timedlock)(m, at);
  return lockPlayed(m, deadlineOf(CLOCK_REALTIME, at));
}
int pthread_mutex_clocklock(pthread_mutex_t* m, clockid_t clock, const timespec* at) {
  if (!played::on) return KM_REAL(pthread_mutex_clocklock)(m, clock, at);
  return lockPlayed(m, deadlineOf(clock, at));
}
int pthread_mutex_unlock(pthread_mutex_t* m) {
  if (!played::on) return KM_REAL(pthread_mutex_unlock)(m);
  unlockPlayed(m);
  return 0;
}
int pthread_mutex_destroy(pthread_mutex_t* m) {
  if (!played::on) return KM_REAL(pthread_mutex_destroy)(m);
  return 0;
}

int pthread_cond_wait(pthread_cond_t* c, pthread_mutex_t* m) {
  if (!played::on) return KM_REAL(pthread_cond_wait, "GLIBC_2.3.2")(c, m);
  return condWait(c, m, kNever);
}
int pthread_cond_timedwait(pthread_cond_t* c, pthread_mutex_t* m, const timespec* at) {
  if (!played::on) return KM_REAL(pthread_cond_timedwait, "GLIBC_2.3.2")(c, m, at);
  return condWait(c, m, deadlineOf(CLOCK_REALTIME, at));
}
int pthread_cond_clockwait(pthread_cond_t* c, pthread_mutex_t* m, clockid_t clock, const timespec* at) {
  if (!played::on) return KM_REAL(pthread_cond_clockwait)(c, m, clock, at);
  return condWait(c, m, deadlineOf(clock, at));
}
int pthread_cond_signal(pthread_cond_t* c) {
  if (!played::on) return KM_REAL(pthread_cond_signal, "GLIBC_2.3.2")(c);
  played::wake(c, false);
  return 0;
}
int pthread_cond_broadcast(pthread_cond_t* c) {
  if (!played::on) return KM_REAL(pthread_cond_broadcast, "GLIBC_2.3.2")(c);
  played::wake(c, true);
  return 0;
}
int pthread_cond_destroy(pthread_cond_t* c) {
  if (!played::on) return KM_REAL(pthread_cond_destroy, "GLIBC_2.3.2")(c);
  return 0;
}

int pthread_rwlock_rdlock(pthread_rwlock_t* l) {
  if (!played::on) return KM_REAL(pthread_rwlock_rdlock)(l);
  played::maybeChange();
  while (stateOf(l).writer != 0) played::waitFor(l, kNever);
  stateOf(l).readers++;
  played::holds(1);
  return 0;
}
int pthread_rwlock_tryrdlock(pthread_rwlock_t* l) {
  if (!played::on) return KM_REAL(pthread_rwlock_tryrdlock)(l);
  if (stateOf(l).writer != 0) return EBUSY;
  stateOf(l).readers++;
  played::holds(1);
  return 0;
}
int pthread_rwlock_wrlock(pthread_rwlock_t* l) {
  if (!played::on) return KM_REAL(pthread_rwlock_wrlock)(l);
  played::maybeChange();
  while (stateOf(l).writer != 0 || stateOf(l).readers != 0) played::waitFor(l, kNever);
  stateOf(l).writer = 1;
  played::holds(1);
  return 0;
}
int pthread_rwlock_trywrlock(pthread_rwlock_t* l) {
  if (!played::on) return KM_REAL(pthread_rwlock_trywrlock)(l);
  if (stateOf(l).writer != 0 || stateOf(l).readers != 0) return EBUSY;
  stateOf(l).writer = 1;
  played::holds(1);
  return 0;
}
int pthread_rwlock_unlock(pthread_rwlock_t* l) {
  if (!played::on) return KM_REAL(pthread_rwlock_unlock)(l);
  ReadWrite& s = stateOf(l);
  s.writer != 0 ? s.writer = 0 : --s.readers;
  played::holds(-1);
  if (s.readers == 0) played::wake(l, true);
  return 0;
}
int pthread_rwlock_destroy(pthread_rwlock_t* l) {
  if (!played::on) return KM_REAL(pthread_rwlock_destroy)(l);
  return 0;
}

int pthread_once(pthread_once_t* once, void (*body)()) {
  if (!played::on) return KM_REAL(pthread_once)(once, body);
  while (*once == 1) played::waitFor(once, kNever);
  if (*once == 2) return 0;
  *once = 1;
  body();
  *once = 2;
  played::wake(once, true);
  return 0;
}

// Of static variables: the first byte says that it is made, the second that it is being made.
int __cxa_guard_acquire(long long* g) {
  if (!played::on) return KM_REAL(__cxa_guard_acquire)(g);
  auto* guard = reinterpret_cast<volatile char*>(g);
  while (guard[0] == 0 && guard[1] != 0) played::waitFor(g, kNever);
  if (guard[0] != 0) return 0;
  guard[1] = 1;
  return 1;
}
void __cxa_guard_release(long long* g) {
  if (!played::on) return KM_REAL(__cxa_guard_release)(g);
  auto* guard = reinterpret_cast<volatile char*>(g);
  guard[0] = 1;
  guard[1] = 0;
  played::wake(g, true);
}
void __cxa_guard_abort(long long* g) {
  if (!played::on) return KM_REAL(__cxa_guard_abort)(g);
  reinterpret_cast<volatile char*>(g)[1] = 0;
  played::wake(g, true);
}

long syscall(long n, ...) {
  va_list list;
  va_start(list, n);
  long a[6];
  for (long& x : a) x = va_arg(list, long);
  va_end(list);
  if (played::on && n == SYS_futex) {
    return futex(reinterpret_cast<int*>(a[0]), static_cast<int>(a[1]), static_cast<int>(a[2]), reinterpret_cast<const timespec*>(a[3]));
  }
  return rawCall(n, a[0], a[1], a[2], a[3], a[4], a[5]);
}

// --- time -----------------------------------------------------------------------------------------------

int clock_gettime(clockid_t clock, timespec* out) noexcept {
  if (!played::on) return KM_REAL(clock_gettime)(clock, out);
  switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
      *out = spec(played::wallNow());
      return 0;
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_BOOTTIME:
      *out = spec(played::now());
      return 0;
    default:
      return KM_REAL(clock_gettime)(clock, out);
  }
}
int gettimeofday(timeval* out, void* zone) noexcept {
  if (!played::on) return KM_REAL(gettimeofday)(out, zone);
  int64_t n = played::wallNow();
  *out = {static_cast<time_t>(n / 1'000'000'000), static_cast<suseconds_t>(n / 1000 % 1'000'000)};
  return 0;
}
time_t time(time_t* out) noexcept {
  timespec t{};
  clock_gettime(CLOCK_REALTIME, &t);
  if (out != nullptr) *out = t.tv_sec;
  return t.tv_sec;
}
int nanosleep(const timespec* wanted, timespec* left) {
  if (!played::on) return KM_REAL(nanosleep)(wanted, left);
  played::waitFor(wanted, played::now() + nanos(wanted));
  return 0;
}
int clock_nanosleep(clockid_t clock, int flags, const timespec* wanted, timespec* left) {
  if (!played::on) return KM_REAL(clock_nanosleep)(clock, flags, wanted, left);
  played::waitFor(wanted, (flags & TIMER_ABSTIME) != 0 ? deadlineOf(clock, wanted) : played::now() + nanos(wanted));
  return 0;
}
int usleep(useconds_t micros) {
  timespec t = spec(int64_t{micros} * 1000);
  return nanosleep(&t, nullptr);
}

// --- what else is not the same each time ------------------------------------------------------------------

ssize_t getrandom(void* out, size_t n, unsigned flags) {
  if (!played::on) return KM_REAL(getrandom)(out, n, flags);
  fillRandom(out, n);
  return static_cast<ssize_t>(n);
}

int timerfd_create(int clock, int flags) noexcept {
  if (!played::on) return static_cast<int>(rawCall(SYS_timerfd_create, clock, flags, 0, 0, 0, 0));
  errno = ENOSYS;  // then Boost.Asio waits for its timers itself
  return -1;
}
int epoll_ctl(int poller, int op, int fd, epoll_event* event) noexcept {
  if (!played::on) return KM_REAL(epoll_ctl)(poller, op, fd, event);
  Poller& p = pollers()[poller];
  // What Boost.Asio interrupts itself with is what it registers first.
  if (op == EPOLL_CTL_ADD && event->events == (EPOLLIN | EPOLLERR | EPOLLET)) p.event = *event;
  if (event != nullptr && op != EPOLL_CTL_DEL && event->data.ptr == p.event.data.ptr) {
    p.interrupted = true;
    played::wake(&p, true);
  }
  return 0;
}
int epoll_wait(int poller, epoll_event* out, int max, int timeout) {
  if (!played::on) return KM_REAL(epoll_wait)(poller, out, max, timeout);
  Poller& p = pollers()[poller];
  if (!p.interrupted && timeout != 0) played::waitFor(&p, timeout < 0 ? kNever : played::now() + int64_t{timeout} * 1'000'000);
  if (!p.interrupted) return 0;
  p.interrupted = false;
  out[0] = p.event;
  out[0].events = EPOLLIN;
  return 1;
}
// Ports are the kernel's choice.
int getsockname(int fd, sockaddr* out, socklen_t* size) noexcept {
  long r = rawCall(SYS_getsockname, fd, reinterpret_cast<long>(out), reinterpret_cast<long>(size), 0, 0, 0);
  if (played::on && r == 0 && out->sa_family == AF_INET) reinterpret_cast<sockaddr_in*>(out)->sin_port = htons(6443);
  return static_cast<int>(r);
}

}  // extern "C"

// Else the processor's own.
std::random_device::result_type std::random_device::_M_getval() {
  uint32_t r = 0;
  if (played::on) {
    fillRandom(&r, sizeof r);
  } else {
    (void)::getrandom(&r, sizeof r, 0);
  }
  return r;
}

#endif  // KM_SANITIZED
