// Leases, their ends, and the keys attached to each. Lives on the committer thread.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "store/store.h"

namespace km::store {

class LeaseTable {
 public:
  bool has(LeaseId id) const { return leases_.contains(id); }
  size_t size() const { return leases_.size(); }

  // `end` is on the monotonic clock.
  void add(LeaseId id, Duration end) {
    leases_[id].end = end;
    ends_.emplace(end, id);
  }
  void attach(LeaseId id, const std::string& key) {
    if (auto it = leases_.find(id); it != leases_.end()) it->second.keys.insert(key);
  }
  void detach(LeaseId id, const std::string& key) {
    if (auto it = leases_.find(id); it != leases_.end()) it->second.keys.erase(key);
  }
  // Removes the lease; gives its keys in order.
  std::vector<std::string> take(LeaseId id) {
    auto it = leases_.find(id);
    if (it == leases_.end()) return {};
    std::set<std::string> sorted(it->second.keys.begin(), it->second.keys.end());
    ends_.erase({it->second.end, id});
    leases_.erase(it);
    return {sorted.begin(), sorted.end()};
  }

  std::optional<Duration> nextEnd() const {
    return ends_.empty() ? std::nullopt : std::optional(ends_.begin()->first);
  }
  // A lease that has ended by `now`; 0 if there is none.
  LeaseId due(Duration now) const {
    return !ends_.empty() && ends_.begin()->first <= now ? ends_.begin()->second : 0;
  }

 private:
  struct Lease {
    Duration end{};
    std::unordered_set<std::string> keys;
  };
  std::unordered_map<LeaseId, Lease> leases_;
  std::set<std::pair<Duration, LeaseId>> ends_;
};

}  // namespace km::store
