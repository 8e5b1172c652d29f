#include "cache/watch_index.h"

#include <algorithm>

namespace km::cache {
namespace {

bool shares(const Selection& a, const Selection& b) {
  if (a.matches && a.text.empty()) return false;
  return static_cast<bool>(a.matches) == static_cast<bool>(b.matches) && a.text == b.text && a.ns == b.ns && a.name == b.name &&
         a.byIndex == b.byIndex && a.indexValue == b.indexValue;
}

}  // namespace

// The map that the selection is found in, and its key there; null: it looks at everything.
WatchIndex::Map* WatchIndex::mapOf(const Selection& s, std::string& key) {
  if (!s.name.empty()) {
    key = s.ns.empty() ? s.name : s.ns + "/" + s.name;
    return &byName_;
  }
  if (s.byIndex) {
    key = s.indexValue;
    return &byIndex_;
  }
  key = s.ns;
  return s.ns.empty() ? nullptr : &byNs_;
}

WatchGroup* WatchIndex::add(Watcher* watcher, Selection selection, size_t& place) {
  std::string key;
  Map* map = mapOf(selection, key);
  Bucket& bucket = map == nullptr ? all_ : (*map)[key];
  auto it = std::find_if(bucket.begin(), bucket.end(), [&](const auto& g) { return shares(g->selection, selection); });
  if (it == bucket.end()) it = bucket.insert(bucket.end(), std::make_unique<WatchGroup>(std::move(selection)));
  WatchGroup& group = **it;
  place = group.watchers.size();
  group.watchers.push_back(watcher);
  return &group;
}

Watcher* WatchIndex::remove(WatchGroup* group, size_t place) {
  Watcher* moved = nullptr;
  if (place + 1 < group->watchers.size()) {
    moved = group->watchers.back();
    group->watchers[place] = moved;
  }
  group->watchers.pop_back();
  if (!group->watchers.empty()) return moved;
  std::string key;
  Map* map = mapOf(group->selection, key);
  Bucket& bucket = map == nullptr ? all_ : map->find(key)->second;
  std::erase_if(bucket, [&](const auto& g) { return g.get() == group; });
  if (map != nullptr && bucket.empty()) map->erase(key);
  return nullptr;
}

void WatchIndex::tell(Bucket& bucket, const Event& event) {
  for (auto& group : bucket) {
    Delivery d;
    if (!group->selection.classify(event, d)) continue;
    if (group->pending.empty()) touched_.push_back(group.get());
    group->pending.push_back(std::move(d));
  }
}

void WatchIndex::tellIn(Map& map, std::string_view key, const Event& event) {
  auto it = map.find(key);
  if (it != map.end()) tell(it->second, event);
}

void WatchIndex::collect(const Event& event, std::string_view now, std::string_view before) {
  tell(all_, event);
  const api::Object& o = *event.object;
  if (!byNs_.empty()) tellIn(byNs_, o.ns(), event);
  if (!byName_.empty()) {
    tellIn(byName_, o.key(), event);
    // A watch of a name in all namespaces.
    if (!o.ns().empty()) tellIn(byName_, o.name(), event);
  }
  if (!byIndex_.empty()) {
    tellIn(byIndex_, now, event);
    // An object that moved concerns those who watched it where it was.
    if (event.prev && before != now) tellIn(byIndex_, before, event);
  }
}

}  // namespace km::cache
