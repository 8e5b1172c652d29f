// Which keys there are, and the revisions that each has. In memory; the values stay in rows.
//
// The newest revision of each key stands in leaves: sorted runs of keys that store what their keys have in common
// once, some 35 bytes a key for Kubernetes. Older revisions stand apart, only for keys written since the last
// compaction, with a queue in the order of writes, so that compaction costs what it removes and can be cut in steps.
//
// Not thread-safe: the owner guards it (many readers or one writer).
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "store/store.h"

namespace km::store {

class KeyIndex {
 public:
  KeyIndex();
  ~KeyIndex();
  KeyIndex(const KeyIndex&) = delete;
  KeyIndex& operator=(const KeyIndex&) = delete;

  // A put or a delete of `key`. `revision` is greater than all before.
  void add(std::string_view key, Revision revision, bool tombstone);

  // The put that `key` shows at revision `at`; 0 if it is absent then. Exact from the last compaction on.
  Revision find(std::string_view key, Revision at) const;

  struct Found {
    std::string key;
    Revision revision;
  };
  // Appends the keys of [start, end) that exist at `at`, in order, up to `limit` of them (0: none is appended; -1:
  // all); an empty end is no bound. Returns how many there are.
  int64_t walk(std::string_view start, std::string_view end, Revision at, int64_t limit, std::vector<Found>& out) const;

  // One step of forgetting what is not needed to read at `revision` and above or to watch from it on: looks at up to
  // `steps` writes and appends the revisions whose rows may go. False: there is more to do.
  bool compact(Revision revision, size_t steps, std::vector<Revision>& dropped);

  int64_t liveKeys() const { return liveKeys_; }
  int64_t historySize() const { return static_cast<int64_t>(queue_.size()); }

 private:
  class Leaf;
  // Older revisions of one key, oldest first; each is revision * 2 + tombstone.
  using History = std::unordered_map<std::string, std::vector<uint64_t>>;
  // `revision` of the key took the place of an older one, or is a tombstone.
  struct Superseding {
    History::value_type* history;
    Revision revision;
  };

  size_t leafOf(std::string_view key) const;
  void split(size_t leaf, size_t at);
  Revision findOlder(std::string_view key, Revision at) const;
  static void dropOlder(std::vector<uint64_t>& older, Revision newest, Revision at, std::vector<Revision>& dropped);
  void settle(History::value_type* history, bool gone);

  std::vector<std::unique_ptr<Leaf>> leaves_;  // in order, none empty, except that there may be none at all
  History history_;
  std::deque<Superseding> queue_;
  int64_t liveKeys_ = 0;
};

}  // namespace km::store
