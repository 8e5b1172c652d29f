#include "store/key_leaf.h"

namespace km::store {
namespace {

size_t commonPrefix(std::string_view a, std::string_view b) {
  size_t n = std::min(a.size(), b.size());
  return static_cast<size_t>(
      std::mismatch(a.begin(), a.begin() + static_cast<ptrdiff_t>(n), b.begin()).first - a.begin());
}

}  // namespace

size_t KeyIndex::Leaf::lowerBound(std::string_view key) const {
  int order = std::string_view(prefix_).compare(key.substr(0, prefix_.size()));
  if (order != 0) return order < 0 ? slots_.size() : 0;
  std::string_view rest = key.substr(prefix_.size());
  size_t low = 0, high = slots_.size();
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (suffix(middle) < rest) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

void KeyIndex::Leaf::insert(size_t at, std::string_view key, Slot slot) {
  maxRevision = std::max<Revision>(maxRevision, slot.revision);
  if (!slot.tombstone) ++live;
  bool compacts = gaps_ > 512 && gaps_ > bytes_.size() / 2;
  if (slots_.empty() || commonPrefix(prefix_, key) < prefix_.size() || compacts) {
    std::vector<std::string> keys = allKeys();
    std::vector<Slot> slots = std::move(slots_);
    keys.insert(keys.begin() + static_cast<ptrdiff_t>(at), std::string(key));
    slots.insert(slots.begin() + static_cast<ptrdiff_t>(at), slot);
    assign(keys, std::move(slots));
    return;
  }
  std::string_view rest = key.substr(prefix_.size());
  slot.offset = static_cast<uint32_t>(bytes_.size());
  slot.size = static_cast<uint32_t>(rest.size());
  bytes_ += rest;
  slots_.insert(slots_.begin() + static_cast<ptrdiff_t>(at), slot);
}

void KeyIndex::Leaf::erase(size_t at) {
  if (!slots_[at].tombstone) --live;
  gaps_ += slots_[at].size;
  slots_.erase(slots_.begin() + static_cast<ptrdiff_t>(at));
}

void KeyIndex::Leaf::moveTail(size_t at, Leaf& to) {
  std::vector<std::string> keys = allKeys();
  std::vector<Slot> slots = std::move(slots_);
  auto cut = static_cast<ptrdiff_t>(at);
  to.assign({keys.begin() + cut, keys.end()}, {slots.begin() + cut, slots.end()});
  keys.resize(at);
  assign(keys, {slots.begin(), slots.begin() + cut});  // exact in size
}

void KeyIndex::Leaf::absorb(const Leaf& next) {
  std::vector<std::string> keys = allKeys();
  std::vector<Slot> slots = std::move(slots_);
  for (size_t i = 0; i < next.size(); ++i) keys.push_back(next.key(i));
  slots.insert(slots.end(), next.slots_.begin(), next.slots_.end());
  assign(keys, std::move(slots));
}

std::vector<std::string> KeyIndex::Leaf::allKeys() const {
  std::vector<std::string> keys;
  keys.reserve(slots_.size() + 1);
  for (size_t i = 0; i < slots_.size(); ++i) keys.push_back(key(i));
  return keys;
}

void KeyIndex::Leaf::assign(const std::vector<std::string>& keys, std::vector<Slot> slots) {
  // The keys are sorted: what the first and the last have in common, all have. A lone key keeps its last path
  // element as suffix, so that the next one beside it need not shorten the prefix.
  size_t shared = keys.empty() ? 0 : commonPrefix(keys.front(), keys.back());
  if (keys.size() == 1) {
    size_t slash = keys.front().rfind('/');
    shared = slash == std::string::npos ? 0 : slash + 1;
  }
  prefix_ = keys.empty() ? std::string() : keys.front().substr(0, shared);
  size_t total = 0;
  for (const std::string& key : keys) total += key.size() - shared;
  std::string bytes;
  bytes.reserve(total);
  live = 0;
  maxRevision = 0;
  for (size_t i = 0; i < keys.size(); ++i) {
    slots[i].offset = static_cast<uint32_t>(bytes.size());
    slots[i].size = static_cast<uint32_t>(keys[i].size() - shared);
    bytes.append(keys[i], shared);
    if (!slots[i].tombstone) ++live;
    maxRevision = std::max<Revision>(maxRevision, slots[i].revision);
  }
  bytes_ = std::move(bytes);
  slots_ = std::move(slots);
  gaps_ = 0;
}

}  // namespace km::store
