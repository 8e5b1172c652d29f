// The inside of played threads: what threads_libc.cc puts under the C library's names.
#pragma once

#include <pthread.h>

#include <cstdint>

namespace km::testing::played {

inline constexpr int64_t kNever = INT64_MAX;

extern bool on;  // begin() was called

struct Thread;
Thread* current();
Thread* byHandle(pthread_t handle);
pthread_t handleOf(const Thread* thread);

Thread* create(void* (*body)(void*), void* argument);
void setName(Thread* thread, const char* name);
void* join(Thread* thread);
void detach(Thread* thread);

// Nanoseconds since begin(), and since 1970.
int64_t now();
int64_t wallNow();

// Lets others run until `address` is woken or the moment comes. False: it was the moment.
bool waitFor(const void* address, int64_t deadline);
// Wakes one, or all, of those who wait for it. How many.
int wake(const void* address, bool all);
// Others may run.
void yield();
// A lock is about to be taken: perhaps others run before.
void maybeChange();
void holds(int change);  // the current thread has one lock more or less
int id(const Thread* thread);

uint64_t random64();
[[noreturn]] void broken(const char* what);

}  // namespace km::testing::played
