// Compaction by one of several servers on one etcd, agreed upon as upstream's API servers do it, so that both
// may share an etcd: the key `compact_rev_key` is written once an interval, and whoever wrote it compacts. Its
// version is the count of intervals, its value the revision that may go at the next.
#pragma once

#include "store/store.h"

namespace km::store {

class SharedCompactor {
 public:
  explicit SharedCompactor(Store& store) : store_(store) {}
  // Once an interval, on a thread that may block.
  void step();

  static constexpr std::string_view kKey = "compact_rev_key";

 private:
  Store& store_;
  Revision seen_ = 0;    // modRevision of the key when last looked at; 0: it was absent
  Revision before_ = 0;  // the store's revision then: what was history one interval ago
};

}  // namespace km::store
