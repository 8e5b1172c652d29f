// Back-off of restarts and pulls: 10 s, doubled up to 300 s; forgotten after ten minutes without trouble. Not synchronized.
#pragma once

#include <algorithm>
#include <map>
#include <string>

#include "base/clock.h"

namespace km::kubelet {

class Backoff {
 public:
  static constexpr Duration kInitial = std::chrono::seconds(10), kMax = std::chrono::seconds(300);

  // How long to wait yet, counted from `since`; 0: go.
  Duration left(const std::string& key, Duration since, Duration now) {
    auto it = entries_.find(key);
    if (it == entries_.end()) return Duration(0);
    if (now - it->second.last > 2 * kMax) {
      entries_.erase(it);
      return Duration(0);
    }
    return std::max(since + it->second.delay - now, Duration(0));
  }
  Duration delay(const std::string& key) const {
    auto it = entries_.find(key);
    return it == entries_.end() ? Duration(0) : it->second.delay;
  }
  // Another failure or start: the next wait is longer.
  void next(const std::string& key, Duration now) {
    Entry& e = entries_[key];
    e.delay = e.delay == Duration(0) ? kInitial : std::min(e.delay * 2, kMax);
    e.last = now;
  }

 private:
  struct Entry {
    Duration delay{0}, last{0};
  };
  std::map<std::string, Entry> entries_;
};

}  // namespace km::kubelet
