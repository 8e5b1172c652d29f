// Time comes from a Clock given by constructor, so that tests and simulations own it.
#pragma once

#include <chrono>
#include <cstdint>

namespace km {

using Duration = std::chrono::nanoseconds;

// Wall-clock time, as written into objects.
struct WallTime {
  int64_t seconds = 0;  // since 1970-01-01T00:00:00Z
  int32_t nanos = 0;    // 0..999,999,999
  auto operator<=>(const WallTime&) const = default;
};

class Clock {
 public:
  virtual ~Clock() = default;
  virtual WallTime now() const = 0;
  // Time that only moves forward; for timeouts and back-off. Since an arbitrary origin.
  virtual Duration monotonic() const = 0;

  // The clock of the machine.
  static Clock& system();
};

}  // namespace km
