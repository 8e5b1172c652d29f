// Who watches what: finds the watchers of an event by where they look, and looks once for all that select the same.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "cache/watcher.h"

namespace km::cache {

// Watchers with equal selections.
struct WatchGroup {
  explicit WatchGroup(Selection s) : selection(std::move(s)) {}
  const Selection selection;
  std::vector<Watcher*> watchers;
  std::vector<Delivery> pending;  // events of the batch that is being collected
};

// Not thread-safe: its cache's lock guards it.
class WatchIndex {
 public:
  // The watcher's group; it is valid until remove() took its last watcher.
  WatchGroup* add(Watcher* watcher, Selection selection, size_t& place);
  // Gives back the watcher that now has the place, null if none has.
  Watcher* remove(WatchGroup* group, size_t place);

  template <typename Fn>
  void each(Fn fn) const {
    auto tell = [&](const Bucket& bucket) {
      for (const auto& group : bucket) {
        for (Watcher* w : group->watchers) fn(*w);
      }
    };
    tell(all_);
    for (const Map* map : {&byNs_, &byName_, &byIndex_}) {
      for (const auto& [key, bucket] : *map) tell(bucket);
    }
  }
  bool byIndex() const { return !byIndex_.empty(); }
  // Gives the event to the groups that it concerns. `now` and `before` are the values of the index field (if byIndex()).
  void collect(const Event& event, std::string_view now, std::string_view before);
  // Calls fn(group, batch) for every group that events were collected for since the last time.
  template <typename Fn>
  void flush(Fn fn) {
    for (WatchGroup* g : touched_) {
      auto batch = std::make_shared<const Batch>(std::move(g->pending));
      g->pending = {};
      fn(*g, batch);
    }
    touched_.clear();
  }

 private:
  using Bucket = std::vector<std::unique_ptr<WatchGroup>>;
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view s) const { return std::hash<std::string_view>()(s); }
  };
  using Map = std::unordered_map<std::string, Bucket, Hash, std::equal_to<>>;

  Map* mapOf(const Selection& s, std::string& key);
  void tell(Bucket& bucket, const Event& event);
  void tellIn(Map& map, std::string_view key, const Event& event);

  Bucket all_;
  Map byNs_, byName_, byIndex_;
  std::vector<WatchGroup*> touched_;
};

}  // namespace km::cache
