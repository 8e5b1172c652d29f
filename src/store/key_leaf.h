// A sorted run of keys in the key index.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "store/key_index.h"

namespace km::store {

class KeyIndex::Leaf {
 public:
  static constexpr size_t kMaxKeys = 64;

  struct Slot {
    uint64_t revision : 63;
    uint64_t tombstone : 1;
    uint32_t offset;  // of the key's suffix in bytes_
    uint32_t size;
  };

  size_t size() const { return slots_.size(); }
  Slot& slot(size_t i) { return slots_[i]; }
  const Slot& slot(size_t i) const { return slots_[i]; }
  std::string_view suffix(size_t i) const { return {bytes_.data() + slots_[i].offset, slots_[i].size}; }
  std::string key(size_t i) const {
    std::string key;
    key.reserve(prefix_.size() + slots_[i].size);
    key += prefix_;
    key += suffix(i);
    return key;
  }

  // <0, 0, >0 as the i-th key is less than, equal to, greater than `key`.
  int compare(size_t i, std::string_view key) const {
    int order = std::string_view(prefix_).compare(key.substr(0, prefix_.size()));
    return order != 0 ? order : suffix(i).compare(key.substr(prefix_.size()));
  }

  // The first slot whose key is not less than `key`.
  size_t lowerBound(std::string_view key) const;

  void insert(size_t at, std::string_view key, Slot slot);
  void erase(size_t at);
  // Moves the slots from `at` on to the end of `to`, an empty leaf.
  void moveTail(size_t at, Leaf& to);
  // Takes over the slots of the leaf behind this one.
  void absorb(const Leaf& next);

  // Keys without a tombstone.
  int64_t live = 0;
  // No slot has a greater revision. (It may be too great after an erase.)
  Revision maxRevision = 0;

 private:
  void assign(const std::vector<std::string>& keys, std::vector<Slot> slots);
  std::vector<std::string> allKeys() const;

  std::string prefix_;  // common to all keys
  std::string bytes_;   // the suffixes, in any order, with gaps left by erase
  size_t gaps_ = 0;
  std::vector<Slot> slots_;
};

}  // namespace km::store
