// How events are written, of either kind: upstream's bounds.
#pragma once

#include <cstddef>

#include "base/clock.h"
#include "base/status.h"

namespace km::client {

inline constexpr size_t kMaxWaiting = 1000;  // events; more are dropped
inline constexpr int kMaxTries = 12;
inline constexpr Duration kRetryAfter = std::chrono::seconds(10);

// Refused for good, as opposed to not reached.
inline bool isRefused(const Status& s) { return s.code() >= 400 && s.code() < 500 && s.code() != 429; }

}  // namespace km::client
