#include "store/key_index.h"

#include <algorithm>

#include "store/key_leaf.h"

namespace km::store {

KeyIndex::KeyIndex() = default;
KeyIndex::~KeyIndex() = default;

// The last leaf whose first key is not greater than `key`; the first leaf if there is none such.
size_t KeyIndex::leafOf(std::string_view key) const {
  auto after = std::partition_point(leaves_.begin(), leaves_.end(), [&](const std::unique_ptr<Leaf>& leaf) {
    return leaf->compare(0, key) <= 0;
  });
  return after == leaves_.begin() ? 0 : static_cast<size_t>(after - leaves_.begin()) - 1;
}

void KeyIndex::split(size_t leaf, size_t at) {
  auto right = std::make_unique<Leaf>();
  leaves_[leaf]->moveTail(at, *right);
  leaves_.insert(leaves_.begin() + static_cast<ptrdiff_t>(leaf) + 1, std::move(right));
}

void KeyIndex::add(std::string_view key, Revision revision, bool tombstone) {
  if (leaves_.empty()) leaves_.push_back(std::make_unique<Leaf>());
  size_t l = leaves_.size() == 1 ? 0 : leafOf(key);
  Leaf* leaf = leaves_[l].get();
  size_t at = leaf->lowerBound(key);
  auto number = static_cast<uint64_t>(revision);
  bool known = at < leaf->size() && leaf->compare(at, key) == 0;
  if (tombstone) tombstones_.emplace(revision, key);
  if (!known) {
    leaf->insert(at, key, {number, tombstone, 0, 0});
    if (!tombstone) ++liveKeys_;
    // A tombstone without a put before it: only in rows that a compaction left over.
    if (tombstone) queue_.push_back({number, tombstone, 0, false});
    // Keys that come in order fill their leaves; others halve them.
    if (leaf->size() > Leaf::kMaxKeys) split(l, at + 1 == leaf->size() ? at : leaf->size() / 2);
    return;
  }
  Leaf::Slot& slot = leaf->slot(at);
  queue_.push_back({number, tombstone, slot.revision, slot.tombstone});
  int64_t change = static_cast<int64_t>(slot.tombstone) - static_cast<int64_t>(tombstone);
  leaf->live += change;
  liveKeys_ += change;
  leaf->maxRevision = std::max(leaf->maxRevision, revision);
  slot.revision = number;
  slot.tombstone = tombstone;
}

const KeyIndex::Replaced* KeyIndex::replaced(Revision revision) const {
  auto it = std::partition_point(queue_.begin(), queue_.end(), [&](const Replaced& entry) {
    return static_cast<Revision>(entry.revision) < revision;
  });
  return it != queue_.end() && static_cast<Revision>(it->revision) == revision ? &*it : nullptr;
}

Revision KeyIndex::replacedBy(Revision revision) const {
  const Replaced* entry = replaced(revision);
  return entry == nullptr || entry->olderIsTombstone ? 0 : static_cast<Revision>(entry->older);
}

Revision KeyIndex::findOlder(Revision newest, Revision at) const {
  while (const Replaced* entry = replaced(newest)) {
    newest = static_cast<Revision>(entry->older);
    if (newest <= at) return entry->olderIsTombstone ? 0 : newest;
  }
  return 0;
}

Revision KeyIndex::find(std::string_view key, Revision at) const {
  if (leaves_.empty()) return 0;
  const Leaf& leaf = *leaves_[leafOf(key)];
  size_t i = leaf.lowerBound(key);
  if (i == leaf.size() || leaf.compare(i, key) != 0) return 0;
  const Leaf::Slot& slot = leaf.slot(i);
  auto revision = static_cast<Revision>(slot.revision);
  if (revision > at) return findOlder(revision, at);
  return slot.tombstone ? 0 : revision;
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
    bool last = !end.empty() && leaf.compare(leaf.size() - 1, end) >= 0;
    if (last) to = leaf.lowerBound(end);
    bool wanted = limit < 0 || count < limit;
    if (!wanted && from == 0 && to == leaf.size() && leaf.maxRevision <= at) {
      count += leaf.live;
      continue;
    }
    for (size_t i = from; i < to; ++i) {
      const Leaf::Slot& slot = leaf.slot(i);
      auto revision = static_cast<Revision>(slot.revision);
      if (revision > at) {
        revision = findOlder(revision, at);
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

void KeyIndex::writes(std::string_view start, std::string_view end, Revision after, Revision through,
                      std::vector<Write>& out) const {
  if (leaves_.empty()) return;
  size_t first = leafOf(start);
  for (size_t l = first; l < leaves_.size(); ++l) {
    const Leaf& leaf = *leaves_[l];
    bool last = !end.empty() && leaf.compare(leaf.size() - 1, end) >= 0;
    if (leaf.maxRevision > after) {
      size_t to = last ? leaf.lowerBound(end) : leaf.size();
      for (size_t i = l == first ? leaf.lowerBound(start) : 0; i < to; ++i) {
        auto revision = static_cast<Revision>(leaf.slot(i).revision);
        while (revision > after) {
          const Replaced* entry = replaced(revision);
          Revision older = entry == nullptr ? 0 : static_cast<Revision>(entry->older);
          if (revision <= through) out.push_back({revision, entry == nullptr || entry->olderIsTombstone ? 0 : older});
          revision = older;
        }
      }
    }
    if (last) break;
  }
}

bool KeyIndex::compact(Revision revision, size_t steps, std::vector<Revision>& dropped) {
  while (!queue_.empty() && static_cast<Revision>(queue_.front().revision) <= revision && steps-- > 0) {
    Replaced entry = queue_.front();
    queue_.pop_front();
    if (entry.older != 0) dropped.push_back(static_cast<Revision>(entry.older));
    if (!entry.isTombstone || dropTombstone(static_cast<Revision>(entry.revision), revision, dropped))
      continue;
    // A watch from `revision` on still wants this event: the next compaction drops it. It is the last to look
    // at.
    queue_.push_front({entry.revision, true, 0, false});
    return true;
  }
  return queue_.empty() || static_cast<Revision>(queue_.front().revision) > revision;
}

// Drops the tombstone, and with it the key, unless the key was made again: then the tombstone goes as what
// that write replaced. False: it must stay for this time.
bool KeyIndex::dropTombstone(Revision revision, Revision compacted, std::vector<Revision>& dropped) {
  auto tombstone = tombstones_.find(revision);
  const std::string& key = tombstone->second;
  size_t l = leafOf(key);
  Leaf& leaf = *leaves_[l];
  size_t i = leaf.lowerBound(key);
  if (static_cast<Revision>(leaf.slot(i).revision) == revision) {
    if (revision == compacted) return false;
    dropped.push_back(revision);
    leaf.erase(i);
    if (leaf.size() == 0) {
      leaves_.erase(leaves_.begin() + static_cast<ptrdiff_t>(l));
    } else if (l + 1 < leaves_.size() && leaf.size() + leaves_[l + 1]->size() <= Leaf::kMaxKeys / 2) {
      leaf.absorb(*leaves_[l + 1]);
      leaves_.erase(leaves_.begin() + static_cast<ptrdiff_t>(l) + 1);
    }
  }
  tombstones_.erase(tombstone);
  return true;
}

}  // namespace km::store
