#include "testing/threads.h"

#include <cxxabi.h>
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "async/thread_state.h"
#include "testing/played.h"

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

extern "C" const char __executable_start;

namespace km::testing {

namespace played {

bool on = false;

// Saves what a call keeps on the stack, takes the other stack. Both sides are in the middle of it.
#if defined(__x86_64__)
using Context = void*;
extern "C" void kmSwitchStacks(Context* save, Context next);
asm(R"(
.text
.globl kmSwitchStacks
.type kmSwitchStacks,@function
kmSwitchStacks:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size kmSwitchStacks,.-kmSwitchStacks
)");
#else
using Context = ucontext_t;
#endif

struct Thread {
  enum State : uint8_t { kReady, kWaits, kEnded, kGone };
  int id = 0;
  Group group = 0;
  State state = kReady;
  bool timedOut = false, detached = false;
  char* stack = nullptr;
  Context context{};
  const void* address = nullptr;
  int64_t deadline = kNever;
  int locks = 0;
  int savedErrno = 0;
  char exceptions[16] = {};  // __cxa_eh_globals
  async::ThreadState async;
  void* (*body)(void*) = nullptr;
  void* argument = nullptr;
  void* result = nullptr;
  char name[16] = {};
};

namespace {

constexpr size_t kStack = 512 << 10;
constexpr int64_t kChange = 1000;  // nanoseconds that pass with a change of threads
constexpr int64_t kEpoch = 1'764'000'000'000'000'000;

struct GroupState {
  std::string name;
  bool mayStall = false, killed = false;
};

struct World {
  Thread* current = nullptr;
  std::vector<Thread*> threads;  // by id; null: ended and freed
  std::vector<Thread*> alive;    // neither ended nor killed
  std::vector<Thread*> ready;
  std::vector<char*> stacks;     // to be used again
  Thread* ended = nullptr;       // its stack was left for good
  std::set<std::pair<int64_t, int>> deadlines;
  std::vector<GroupState> groups;
  int64_t now = 0;
  uint64_t state[2] = {1, 2};
  uint64_t changes = 0, hash = 0;
  Chaos chaos;
  Group only = -1;  // while a group is killed
  std::function<void()> deadlock;
};
World& w = *new World;

void mix(uint64_t value) { w.hash = (w.hash ^ value) * 0x9E3779B97F4A7C15ull + (w.hash >> 29); }

void expire() {
  while (!w.deadlines.empty() && w.deadlines.begin()->first <= w.now) {
    Thread* t = w.threads[static_cast<size_t>(w.deadlines.begin()->second)];
    w.deadlines.erase(w.deadlines.begin());
    t->deadline = kNever;
    t->timedOut = true;
    t->state = Thread::kReady;
    t->address = nullptr;
    w.ready.push_back(t);
  }
}

Thread* choose() {
  for (;;) {
    w.now += kChange;
    expire();
    size_t n = w.ready.size();
    if (w.only >= 0) {
      for (size_t i = 0; i < n; i++) {
        if (w.ready[i]->group != w.only) continue;
        std::swap(w.ready[i], w.ready[n - 1]);
        Thread* t = w.ready.back();
        w.ready.pop_back();
        return t;
      }
      // Nobody of the group: the killer goes on.
      for (size_t i = 0; i < n; i++) {
        if (w.ready[i]->group != 0) continue;
        Thread* t = w.ready[i];
        w.ready[i] = w.ready.back();
        w.ready.pop_back();
        return t;
      }
    }
    if (n > 0) {
      size_t i = n == 1 ? 0 : draw(n);
      Thread* t = w.ready[i];
      w.ready[i] = w.ready.back();
      w.ready.pop_back();
      return t;
    }
    if (w.deadlines.empty()) {
      if (w.deadlock) w.deadlock();
      broken("no thread can run");
    }
    w.now = std::max(w.now, w.deadlines.begin()->first);
  }
}

void forget(Thread* t) {
  w.threads[static_cast<size_t>(t->id)] = nullptr;
  delete t;
}

void reapEnded() {
  Thread* t = std::exchange(w.ended, nullptr);
  if (t == nullptr) return;
  w.stacks.push_back(t->stack);
  t->stack = nullptr;
  if (t->detached) forget(t);
}

void* exceptionGlobals() { return abi::__cxa_get_globals(); }

// The current thread has been put where it belongs (ready, waiting, ended).
void change() {
  Thread* from = w.current;
  Thread* to = choose();
  w.changes++;
  mix(static_cast<uint64_t>(to->id) << 40 ^ static_cast<uint64_t>(w.now));
  to->state = Thread::kReady;
  if (to == from) return;
  from->savedErrno = errno;
  std::memcpy(from->exceptions, exceptionGlobals(), sizeof from->exceptions);
  from->async = async::exchangeThreadState(to->async);
  std::memcpy(exceptionGlobals(), to->exceptions, sizeof to->exceptions);
  w.current = to;
#if defined(__x86_64__)
  kmSwitchStacks(&from->context, to->context);
#else
  swapcontext(&from->context, &to->context);
#endif
  reapEnded();
  errno = w.current->savedErrno;
}

void runThread() {
  reapEnded();
  Thread* t = w.current;
  t->result = t->body(t->argument);
  t->state = Thread::kEnded;
  std::erase(w.alive, t);
  wake(t, true);
  w.ended = t;
  change();
  broken("an ended thread runs");
}

char* newStack() {
  if (!w.stacks.empty()) {
    char* s = w.stacks.back();
    w.stacks.pop_back();
    return s;
  }
  void* s = ::mmap(nullptr, kStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (s == MAP_FAILED) broken("no memory for a stack");
  ::mprotect(s, 4096, PROT_NONE);
  return static_cast<char*>(s);
}

void prepareContext(Thread* t) {
#if defined(__x86_64__)
  auto top = reinterpret_cast<uintptr_t>(t->stack + kStack) & ~uintptr_t{15};
  auto* sp = reinterpret_cast<uint64_t*>(top);
  *--sp = 0;  // where a caller would be: the stack is aligned as after a call
  *--sp = reinterpret_cast<uint64_t>(&runThread);
  for (int i = 0; i < 6; i++) *--sp = 0;
  t->context = sp;
#else
  getcontext(&t->context);
  t->context.uc_stack.ss_sp = t->stack;
  t->context.uc_stack.ss_size = kStack;
  t->context.uc_link = nullptr;
  makecontext(&t->context, &runThread, 0);
#endif
}

}  // namespace

void broken(const char* what) {
  std::fprintf(stderr, "played threads: %s\n%s", what, describeThreads().c_str());
  std::abort();
}

Thread* current() { return w.current; }
pthread_t handleOf(const Thread* t) { return static_cast<pthread_t>(t->id) + 1; }
Thread* byHandle(pthread_t handle) {
  Thread* t = handle - 1 < w.threads.size() ? w.threads[handle - 1] : nullptr;
  if (t == nullptr) broken("no such thread");
  return t;
}
int id(const Thread* t) { return t->id; }
int64_t now() { return w.now; }
int64_t wallNow() { return kEpoch + w.now; }
void holds(int change) { w.current->locks += change; }

Thread* create(void* (*body)(void*), void* argument) {
  auto* t = new Thread;
  t->id = static_cast<int>(w.threads.size());
  t->group = w.current->group;
  t->body = body;
  t->argument = argument;
  t->stack = newStack();
  prepareContext(t);
  w.threads.push_back(t);
  w.alive.push_back(t);
  w.ready.push_back(t);
  return t;
}

void setName(Thread* t, const char* name) { std::snprintf(t->name, sizeof t->name, "%s", name); }

void* join(Thread* t) {
  while (t->state != Thread::kEnded) {
    if (t->state == Thread::kGone) broken("a killed thread is joined");
    waitFor(t, kNever);
  }
  void* result = t->result;
  forget(t);
  return result;
}

void detach(Thread* t) {
  t->detached = true;
  if (t->state == Thread::kEnded && t->stack == nullptr) forget(t);
}

bool waitFor(const void* address, int64_t deadline) {
  Thread* t = w.current;
  t->address = address;
  t->timedOut = false;
  t->state = Thread::kWaits;
  t->deadline = deadline;
  if (deadline != kNever) w.deadlines.emplace(deadline, t->id);
  change();
  return !t->timedOut;
}

int wake(const void* address, bool all) {
  static std::vector<Thread*> found;
  found.clear();
  for (Thread* t : w.alive) {
    if (t->state == Thread::kWaits && t->address == address) found.push_back(t);
  }
  if (found.empty()) return 0;
  if (!all && found.size() > 1) found = {found[draw(found.size())]};
  for (Thread* t : found) {
    if (t->deadline != kNever) w.deadlines.erase({t->deadline, t->id});
    t->deadline = kNever;
    t->address = nullptr;
    t->state = Thread::kReady;
    w.ready.push_back(t);
  }
  return static_cast<int>(found.size());
}

void yield() {
  w.ready.push_back(w.current);
  change();
}

void maybeChange() {
  if (w.chaos.changeOneIn == 0 || w.only >= 0) return;
  if (draw(w.chaos.changeOneIn) == 0) return yield();
  if (w.chaos.stallOneIn != 0 && w.current->locks == 0 && w.groups[static_cast<size_t>(w.current->group)].mayStall && draw(w.chaos.stallOneIn) == 0) {
    waitFor(w.current, w.now + drawDuration(w.chaos.stallMax).count());
  }
}

// xoroshiro128+
uint64_t random64() {
  uint64_t a = w.state[0], b = w.state[1], out = a + b;
  b ^= a;
  w.state[0] = (a << 24 | a >> 40) ^ b ^ (b << 16);
  w.state[1] = b << 37 | b >> 27;
  return out;
}

}  // namespace played

using played::w;

void reseed(uint64_t seed) {
  for (uint64_t& s : w.state) {
    seed += 0x9E3779B97F4A7C15ull;
    uint64_t z = seed;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ z >> 27) * 0x94D049BB133111EBull;
    s = z ^ z >> 31;
  }
  w.hash = 0;
  w.changes = 0;
}

void begin(uint64_t seed) {
  auto* t = new played::Thread;
  w.current = t;
  w.threads.push_back(t);
  w.alive.push_back(t);
  w.groups.push_back({"world", false, false});
  reseed(seed);
  played::setName(t, "main");
  played::on = true;
}

bool isPlayed() { return played::on; }
void setChaos(const Chaos& chaos) { w.chaos = chaos; }

uint64_t draw(uint64_t n) { return static_cast<uint64_t>(static_cast<unsigned __int128>(played::random64()) * n >> 64); }
Duration drawDuration(Duration max) { return Duration(static_cast<int64_t>(draw(static_cast<uint64_t>(max.count()) + 1))); }

Group newGroup(std::string_view name, bool mayStall) {
  w.groups.push_back({std::string(name), mayStall, false});
  return static_cast<Group>(w.groups.size()) - 1;
}

const void* threadMark() { return w.current; }
Group currentGroup() { return w.current->group; }

void spawn(Group group, std::string_view name, std::function<void()> body) {
  auto* held = new std::function<void()>(std::move(body));
  played::Thread* t = played::create(
      [](void* p) -> void* {
        std::unique_ptr<std::function<void()>> run(static_cast<std::function<void()>*>(p));
        (*run)();
        return nullptr;
      },
      held);
  t->group = group;
  t->detached = true;
  played::setName(t, std::string(name.substr(0, 15)).c_str());
}

void kill(Group group) {
  if (w.current->group == group) played::broken("a group kills itself");
  auto holders = [&] {
    return std::any_of(w.threads.begin(), w.threads.end(), [&](auto* t) { return t != nullptr && t->group == group && t->locks > 0 && t->state == played::Thread::kReady; });
  };
  w.only = group;
  for (int i = 0; i < 5000 && holders(); i++) played::yield();
  w.only = -1;
  for (played::Thread* t : w.threads) {
    if (t == nullptr || t->group != group || t->state == played::Thread::kEnded) continue;
    if (t->deadline != played::kNever) w.deadlines.erase({t->deadline, t->id});
    std::erase(w.ready, t);
    std::erase(w.alive, t);
    t->state = played::Thread::kGone;
    t->deadline = played::kNever;
  }
  w.groups[static_cast<size_t>(group)].killed = true;
}

bool isKilled(Group group) { return w.groups[static_cast<size_t>(group)].killed; }
bool await(const void* address, Duration timeout) {
  bool never = timeout.count() >= INT64_MAX - w.now;
  return played::waitFor(address, never ? played::kNever : w.now + timeout.count());
}
void wakeUp(const void* address) { played::wake(address, true); }
void sleepFor(Duration duration) { played::waitFor(w.current, w.now + duration.count()); }

Duration playedTime() { return Duration(w.now); }
uint64_t changes() { return w.changes; }
uint64_t traceHash() { return w.hash; }
void onDeadlock(std::function<void()> report) { w.deadlock = std::move(report); }

namespace {

// Where a thread that does not run stands: addresses for addr2line, innermost first.
std::string stackOf(const played::Thread* t) {
  std::string out;
#if defined(__x86_64__)
  if (t == w.current || t->stack == nullptr) return out;
  const auto* frame = static_cast<const uint64_t*>(t->context) + 5;
  auto inside = [&](const void* p) { return p >= t->stack + 4096 && p < t->stack + played::kStack - 16; };
  out = "    ";
  for (int i = 0; i < 24 && inside(frame) && frame[1] != 0; i++) {
    char text[24];
    std::snprintf(text, sizeof text, " %lx", static_cast<unsigned long>(frame[1] - reinterpret_cast<uint64_t>(&__executable_start)));
    out += text;
    frame = reinterpret_cast<const uint64_t*>(frame[0]);
  }
  out += "\n";
#endif
  return out;
}

}  // namespace

std::string describeThreads() {
  std::string out;
  for (const played::Thread* t : w.threads) {
    if (t == nullptr) continue;
    char line[160];
    static constexpr const char* kStates[] = {"ready", "waits", "ended", "killed"};
    std::snprintf(line, sizeof line, "  thread %d %s of %s: %s, locks %d\n", t->id, t->name, w.groups[static_cast<size_t>(t->group)].name.c_str(), kStates[t->state], t->locks);
    out += line;
    out += stackOf(t);
  }
  return out;
}

}  // namespace km::testing
