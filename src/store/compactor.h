// Which revision to compact, and when. A pure object: its owner has the timer and calls Store::compact.
#pragma once

#include <optional>

#include "base/clock.h"
#include "store/store.h"

namespace km::store {

// Upstream's --etcd-compaction-interval: at each interval, forget what was history one interval before. So
// between one and two intervals of history remain, and a client may page or watch that far behind.
class Compactor {
 public:
  static constexpr Duration kInterval = std::chrono::minutes(5);

  explicit Compactor(Duration interval = kInterval) : interval_(interval) {}

  // At time `now` (monotonic) the store stands at `current`. Gives the revision to compact, if it is time and
  // there is something to forget.
  std::optional<Revision> at(Duration now, Revision current) {
    if (now < due_) return {};
    std::optional<Revision> target;
    if (before_ > compacted_) target = compacted_ = before_;
    before_ = current;
    due_ = now + interval_;
    return target;
  }

  // When to call at() next; zero before the first call. Calls before then change nothing.
  Duration due() const { return due_; }

 private:
  const Duration interval_;
  Duration due_ = Duration::zero();
  Revision before_ = 0;
  Revision compacted_ = 1;  // the revision of an empty store: nothing to forget
};

}  // namespace km::store
