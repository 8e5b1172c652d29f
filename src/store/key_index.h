// Which keys there are, and the revisions that each has. In memory; the values stay in rows.
//
// The newest revision of each key stands in leaves: sorted runs of keys that store what their keys have in
// common once, some 40 bytes a key for Kubernetes. What a write replaced stands in one queue in the order of
// writes, 16 bytes each, until compaction: a key's past is the chain from its newest revision through the
// queue. So compaction costs what it removes, and can be cut in steps; a look at the past costs the writes to
// that key since then.
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

  // The put that the write at `revision` replaced; 0 if there was none. Exact after the last compaction.
  Revision replacedBy(Revision revision) const;

  struct Found {
    std::string key;
    Revision revision;
  };
  // Appends the keys of [start, end) that exist at `at`, in order, up to `limit` of them (0: none is
  // appended; -1: all); an empty end is no bound. Returns how many there are.
  int64_t walk(std::string_view start, std::string_view end, Revision at, int64_t limit,
               std::vector<Found>& out) const;

  struct Write {
    Revision revision;  // of a put or a delete
    Revision replaced;  // the put that it replaced; 0: none
  };
  // Appends the writes to keys of [start, end) after the revision `after`, which must not be before the last
  // compaction, up to `through`; in no order.
  void writes(std::string_view start, std::string_view end, Revision after, Revision through,
              std::vector<Write>& out) const;

  // One step of forgetting what is not needed to read at `revision` and above or to watch from it on: looks
  // at up to `steps` writes and appends the revisions whose rows may go. False: there is more to do.
  bool compact(Revision revision, size_t steps, std::vector<Revision>& dropped);

  int64_t liveKeys() const { return liveKeys_; }
  int64_t historySize() const { return static_cast<int64_t>(queue_.size()); }

 private:
  class Leaf;
  // The write at `revision` replaced `older`, a put or a tombstone of the same key.
  struct Replaced {
    uint64_t revision : 63;
    uint64_t isTombstone : 1;  // the write at `revision`
    uint64_t older : 63;       // 0: none
    uint64_t olderIsTombstone : 1;
  };

  size_t leafOf(std::string_view key) const;
  void split(size_t leaf, size_t at);
  Revision findOlder(Revision newest, Revision at) const;
  const Replaced* replaced(Revision revision) const;
  bool dropTombstone(Revision revision, Revision compacted, std::vector<Revision>& dropped);

  std::vector<std::unique_ptr<Leaf>> leaves_;             // in order, none empty
  std::deque<Replaced> queue_;                            // in the order of revisions
  std::unordered_map<Revision, std::string> tombstones_;  // the keys of those in the queue
  int64_t liveKeys_ = 0;
};

}  // namespace km::store
