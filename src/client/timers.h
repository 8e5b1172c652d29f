// Timers: everything in a process that waits for a moment, on one thread over one heap.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "base/clock.h"

namespace km::client {

// Any thread. A callback must be quick and not block: it usually hands work to a queue or pool.
class Timers {
 public:
  using Id = uint64_t;

  // On the machine's clock, with a thread of its own that starts with the first timer.
  Timers();
  // On a clock that a test moves: no thread; what is due runs in runDue().
  explicit Timers(Clock& clock);
  ~Timers();  // stop()
  Timers(const Timers&) = delete;
  Timers& operator=(const Timers&) = delete;

  // Calls back once, `delay` from now. 0 is no timer's id.
  Id after(Duration delay, std::function<void()> callback);
  // True if the callback will not run. False: it ran, runs now, or there is no such timer.
  bool cancel(Id id);
  // Runs, on the calling thread, what is due by the clock. For tests with a clock of their own.
  void runDue();
  // Drops all timers and waits for a callback that runs. Timers set afterwards never fire.
  void stop();

  Clock& clock() const;

 private:
  struct Core;
  std::shared_ptr<Core> core_;
};

}  // namespace km::client
