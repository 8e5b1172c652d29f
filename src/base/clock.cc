#include "base/clock.h"

namespace km {
namespace {

class SystemClock final : public Clock {
 public:
  WallTime now() const override {
    auto since = std::chrono::system_clock::now().time_since_epoch();
    int64_t nanos = std::chrono::duration_cast<std::chrono::nanoseconds>(since).count();
    return {nanos / 1'000'000'000, static_cast<int32_t>(nanos % 1'000'000'000)};
  }
  Duration monotonic() const override {
    return std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch());
  }
};

}  // namespace

Clock& Clock::system() {
  static SystemClock clock;
  return clock;
}

}  // namespace km
