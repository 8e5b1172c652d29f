// A clock that a test moves. Any thread.
#pragma once

#include <atomic>

#include "base/clock.h"

namespace km::client {

class FakeClock : public Clock {
 public:
  explicit FakeClock(int64_t unixSeconds = 1'700'000'000) : start_(unixSeconds) {}
  WallTime now() const override {
    int64_t n = nanos_.load();
    return {start_ + n / 1'000'000'000, static_cast<int32_t>(n % 1'000'000'000)};
  }
  Duration monotonic() const override { return Duration(nanos_.load()); }
  void advance(Duration by) { nanos_.fetch_add(by.count()); }

 private:
  int64_t start_;
  std::atomic<int64_t> nanos_{0};
};

}  // namespace km::client
