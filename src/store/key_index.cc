#include "store/key_index.h"

#include <algorithm>
#include <cassert>

#include "store/key_leaf.h"

namespace km::store {

KeyIndex::KeyIndex() = default;
KeyIndex::~KeyIndex() = default;

// The last leaf whose first key is not greater than `key`; the first leaf if there is none such.
size_t KeyIndex::leafOf(std::string_view key) const {
  auto after = std::partition_point(leaves_.begin(), leaves_.end(),
                                    [&](const std::unique_ptr<Leaf>& leaf) { return leaf->compare(0, key) <= 0; });
  return after == leaves_.begin() ? 0 : static_cast<size_t>(after - leaves_.begin()) - 1;
}

void KeyIndex::split(size_t leaf, size_t at) {
  auto right = std::make_unique<Leaf>();
  leaves_[leaf]->moveTail(at, *right);
  leaves_.insert(leaves_.begin() + static_cast<ptrdiff_t>(leaf) + 1, std::move(right));
}

void KeyIndex::add(std::string_view key, Revision revision, bool tombstone) {
  if (leaves_.empty()) leaves_.push_back(std::make_unique<Leaf>());
  size_t i = leaves_.size() == 1 ? 0 : leafOf(key);
  Leaf* leaf = leaves_[i].get();
  size_t at = leaf->lowerBound(key);
  bool known = at < leaf->size() && leaf->compare(at, key) == 0;
  if (!known) {
    Leaf::Slot slot{static_cast<uint64_t>(revision), tombstone, tombstone, 0, 0};
    leaf->insert(at, key, slot);
    if (!tombstone) ++liveKeys_;
    if (leaf->size() > Leaf::kMaxKeys) {
      // Keys that come in order fill their leaves; others halve them.
      split(i, at + 1 == leaf->size() ? leaf->size() - 1 : leaf->size() / 2);
    }
    // A tombstone without a put before it: only in rows that a compaction left over.
    if (tombstone) queue_.push_back({&*history_.try_emplace(std::string(key)).first, revision});
    return;
  }
  Leaf::Slot& slot = leaf->slot(at);
  History::value_type* history = &*history_.try_emplace(std::string(key)).first;
  history->second.push_back(slot.revision << 1 | slot.tombstone);
  queue_.push_back({history, revision});
  int64_t change = static_cast<int64_t>(slot.tombstone) - static_cast<int64_t>(tombstone);
  leaf->live += change;
  liveKeys_ += change;
  leaf->maxRevision = std::max(leaf->maxRevision, revision);
  slot.revision = static_cast<uint64_t>(revision);
  slot.tombstone = tombstone;
  slot.hasHistory = true;
}

Revision KeyIndex::find(std::string_view key, Revision at) const {
  if (leaves_.empty()) return 0;
  const Leaf& leaf = *leaves_[leafOf(key)];
  size_t i = leaf.lowerBound(key);
  if (i == leaf.size() || leaf.compare(i, key) != 0) return 0;
  const Leaf::Slot& slot = leaf.slot(i);
  if (static_cast<Revision>(slot.revision) <= at) return slot.tombstone ? 0 : static_cast<Revision>(slot.revision);
  return slot.hasHistory ? findOlder(key, at) : 0;
}

Revision KeyIndex::findOlder(std::string_view key, Revision at) const {
  auto it = history_.find(std::string(key));
  if (it == history_.end()) return 0;
  const std::vector<uint64_t>& older = it->second;
  auto after = std::partition_point(older.begin(), older.end(),
                                    [&](uint64_t entry) { return static_cast<Revision>(entry >> 1) <= at; });
  if (after == older.begin()) return 0;
  uint64_t entry = *(after - 1);
  return entry & 1 ? 0 : static_cast<Revision>(entry >> 1);
}

int64_t KeyIndex::walk(std::string_view start, std::string_view end, Revision at, int64_t limit,
                       std::vector<Found>& out) const {
  int64_t count = 0;
  if (leaves_.empty()) return count;
  size_t first = leafOf(start);
  for (size_t l = first; l < leaves_.size(); ++l) {
    const Leaf& leaf = *leaves_[l];
    size_t from = l == first ? leaf.lowerBound(start) : 0;
    size_t to = leaf.size();
    bool last = false;
    if (!end.empty() && leaf.compare(leaf.size() - 1, end) >= 0) {
      to = leaf.lowerBound(end);
      last = true;
    }
    bool wanted = limit < 0 || count < limit;
    if (!wanted && from == 0 && to == leaf.size() && leaf.maxRevision <= at) {
      count += leaf.live;
      continue;
    }
    for (size_t i = from; i < to; ++i) {
      const Leaf::Slot& slot = leaf.slot(i);
      auto revision = static_cast<Revision>(slot.revision);
      if (revision > at) {
        revision = slot.hasHistory ? findOlder(leaf.key(i), at) : 0;
      } else if (slot.tombstone) {
        revision = 0;
      }
      if (revision == 0) continue;
      if (limit < 0 || count < limit) out.push_back({leaf.key(i), revision});
      ++count;
    }
    if (last) break;
  }
  return count;
}

bool KeyIndex::compact(Revision revision, size_t steps, std::vector<Revision>& dropped) {
  std::optional<Superseding> kept;
  while (!queue_.empty() && queue_.front().revision <= revision && steps-- > 0) {
    auto [history, newer] = queue_.front();
    queue_.pop_front();
    const Leaf& leaf = *leaves_[leafOf(history->first)];
    const Leaf::Slot slot = leaf.slot(leaf.lowerBound(history->first));
    auto newest = static_cast<Revision>(slot.revision);
    dropOlder(history->second, newest, revision, dropped);
    if (newer != newest) continue;  // written again since: a later entry of the queue finishes the key
    if (slot.tombstone && newest == revision) {
      kept = {history, newer};  // a watch from `revision` on still wants the event; the next compaction drops it
    } else {
      if (slot.tombstone) dropped.push_back(newest);
      settle(history, slot.tombstone);
    }
  }
  bool done = queue_.empty() || queue_.front().revision > revision;
  if (kept) queue_.push_front(*kept);
  return done;
}

// Drops what came before the revision that the key shows at `at`.
void KeyIndex::dropOlder(std::vector<uint64_t>& older, Revision newest, Revision at, std::vector<Revision>& dropped) {
  auto end = older.end();
  if (newest > at) {
    end = std::partition_point(older.begin(), older.end(),
                               [&](uint64_t entry) { return static_cast<Revision>(entry >> 1) <= at; });
    if (end != older.begin()) --end;
  }
  for (auto it = older.begin(); it != end; ++it) dropped.push_back(static_cast<Revision>(*it >> 1));
  older.erase(older.begin(), end);
}

// The key has no older revisions any more. If it is gone altogether, it leaves the index.
void KeyIndex::settle(History::value_type* history, bool gone) {
  size_t l = leafOf(history->first);
  Leaf& leaf = *leaves_[l];
  size_t i = leaf.lowerBound(history->first);
  leaf.slot(i).hasHistory = false;
  if (gone) {
    leaf.erase(i);
    if (leaf.size() == 0) {
      leaves_.erase(leaves_.begin() + static_cast<ptrdiff_t>(l));
    } else if (l + 1 < leaves_.size() && leaf.size() + leaves_[l + 1]->size() <= Leaf::kMaxKeys / 2) {
      leaf.absorb(*leaves_[l + 1]);
      leaves_.erase(leaves_.begin() + static_cast<ptrdiff_t>(l) + 1);
    }
  }
  history_.erase(history_.find(history->first));
}

}  // namespace km::store
