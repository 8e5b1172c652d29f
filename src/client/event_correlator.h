// EventCorrelator: decides whether an event is written as it is, patched into one written before, merged with similar ones,
// or dropped. Pure: the caller gives the time. Not synchronized.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "api/types/core_v1.h"
#include "base/clock.h"
#include "client/workqueue.h"

namespace km::client {

// The most recently used `capacity` values.
template <typename V>
class LruMap {
 public:
  explicit LruMap(size_t capacity) : capacity_(capacity) {}
  V* find(const std::string& key) {
    auto it = index_.find(key);
    if (it == index_.end()) return nullptr;
    order_.splice(order_.begin(), order_, it->second);
    return &it->second->second;
  }
  V& operator[](const std::string& key) {
    if (V* v = find(key)) return *v;
    if (order_.size() >= capacity_) {
      index_.erase(order_.back().first);
      order_.pop_back();
    }
    order_.emplace_front(key, V{});
    index_[key] = order_.begin();
    return order_.front().second;
  }

 private:
  size_t capacity_;
  std::list<std::pair<std::string, V>> order_;
  std::unordered_map<std::string, typename std::list<std::pair<std::string, V>>::iterator> index_;
};

class EventCorrelator {
 public:
  struct Outcome {
    bool skip = false;          // dropped as spam
    api::core_v1::Event event;  // to create; with `patch`, the event that it became
    std::string patch;          // strategic merge for event.metadata.name; empty: create
    std::string key;            // for remember()
  };
  Outcome correlate(api::core_v1::Event event, WallTime now);
  // What the server made of it.
  void remember(const std::string& key, const api::core_v1::Event& written);

 private:
  struct Similar {
    std::set<std::string> messages;
    std::optional<WallTime> last;
  };
  struct Seen {
    int32_t count = 0;
    codec::Time first;
    std::string name;
    std::string resourceVersion;
  };
  static constexpr size_t kCapacity = 4096;
  LruMap<Similar> similar_{kCapacity};
  LruMap<Seen> seen_{kCapacity};
  LruMap<std::optional<TokenBucket>> buckets_{kCapacity};
};

// "<object>.<hex time>".
std::string eventName(std::string_view object, WallTime now);

}  // namespace km::client
