// Backoff: growing waits between attempts, with jitter, as the informers' and similar loops use. Not synchronized.
#pragma once

#include <algorithm>

#include "base/clock.h"
#include "base/rand.h"

namespace km::client {

class Backoff {
 public:
  // Waits start, start*2, ... up to max, each plus up to `jitter` of itself; starts over when next() was not called for
  // `reset`.
  Backoff(Duration start, Duration max, Duration reset, double jitter = 1.0)
      : start_(start), max_(max), reset_(reset), jitter_(jitter), wait_(start) {}

  Duration next(Duration now) {
    if (last_ != Duration(0) && now - last_ > reset_) wait_ = start_;
    last_ = now;
    Duration wait = std::min(wait_, max_);
    wait_ = std::min(wait_ * 2, max_);
    return wait + Duration(static_cast<int64_t>(static_cast<double>(wait.count()) * jitter_ * randomFraction()));
  }

 private:
  Duration start_, max_, reset_;
  double jitter_;
  Duration wait_;
  Duration last_{0};
};

}  // namespace km::client
