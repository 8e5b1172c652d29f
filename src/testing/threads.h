// Played threads: the threads, locks, clocks and random numbers of this process, replaced by ones that a seed decides.
//
// After begin() every thread is a stack of its own on the one thread that the kernel knows, and one runs at a time until it waits. What runs
// next, and whether a lock is a moment to change, is drawn from the seed. Time stands still while something can run (but for a microsecond a
// change) and then jumps to the next moment that somebody waits for: nothing ever waits for real time. So a program of many threads does the
// same each time, however many threads, and much faster than life.
//
// It works below the code that is tested, which has no seam for it: this room defines the functions of the C library that std::thread, std::mutex,
// std::condition_variable, std::future, the clocks and getrandom() stand on, so whoever links it has these (threads_libc.cc). Before begin()
// they are the library's own. What it does not know: sockets (none is ever ready) and child processes. Thread-local variables are
// shared by all played threads, but for errno, exceptions in flight, and what async/thread_state.h names.
//
// Since the kernel knows one thread, fork() copies the whole world: a state that took long to reach is gone on from many times, each time
// with another seed (reseed()).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace km::testing {

// Whether this program was built so that it can: the sanitizers have thread functions of their own.
bool canPlay();
// Once, with no other thread running; there is no way back. The caller is the first played thread, of group 0.
void begin(uint64_t seed);
bool isPlayed();
// Other choices from now on.
void reseed(uint64_t seed);

// How wild the choices are.
struct Chaos {
  uint32_t changeOneIn = 0;    // of so many locks one lets another thread run before; 0: none
  uint32_t stallOneIn = 0;     // of so many locks one makes its thread sleep, in groups that may be stalled
  Duration stallMax{0};
};
void setChaos(const Chaos& chaos);

// Numbers of the seed's sequence. Below `n`.
uint64_t draw(uint64_t n);
inline bool oneIn(uint64_t n) { return n != 0 && draw(n) == 0; }
Duration drawDuration(Duration max);

// The threads of one process of the played world. A thread's threads are of its group.
using Group = int;
Group newGroup(std::string_view name, bool mayStall);
Group currentGroup();
const void* threadMark();  // tells the calling thread from others
// A thread in the group, detached.
void spawn(Group group, std::string_view name, std::function<void()> body);
// As kill -9: its threads never run again, what they own is leaked. They are let run first until they hold no lock that others may need.
// Not of the caller's group.
void kill(Group group);
bool isKilled(Group group);

// Nothing else runs between two calls of this header or of a lock, so what only played threads share needs no locks of its own.
// Lets others run until somebody calls wakeUp() with the address, or so long. False: nobody did.
bool await(const void* address, Duration timeout = Duration::max());
void wakeUp(const void* address);  // all who wait
// Until the condition holds; asked again whenever somebody wakes the address.
template <typename F>
void awaitThat(const void* address, F condition) {
  while (!condition()) await(address);
}
void sleepFor(Duration duration);

Duration playedTime();     // since begin()
uint64_t changes();        // how often a thread was given the turn
uint64_t traceHash();      // of all choices so far: the same run has the same
// Who waits for what; for reports.
std::string describeThreads();
// Called when no thread can ever run again. Must not return.
void onDeadlock(std::function<void()> report);

}  // namespace km::testing
