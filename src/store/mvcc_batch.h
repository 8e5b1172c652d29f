// What the committer gathers between two syncs.
#pragma once

#include <functional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "store/mvcc.h"

namespace km::store {

struct MvccStore::Batch {
  Revision next;  // revision of the next write
  std::vector<Mutation> mutations;
  std::vector<EventPtr> events;
  // The last event of each key written in this batch; the views lie in the events.
  std::unordered_map<std::string_view, const Event*> written;
  // Called in order after the batch is durable and delivered, or with the failure.
  std::vector<std::function<void(const Status& failure)>> completions;
  Revision compacted = 0;
  uint64_t transactions = 0;
};

// The state of one watch, shared by its handle and the committer.
struct MvccStore::Watching {
  std::string prefix;
  WatchSink* sink = nullptr;
  Revision next = 0;            // of the committer: the next revision to deliver
  bool ended = false;           // of the committer: an error was delivered
  Revision progressAt = 0;      // of the committer: onProgress is wanted once this was delivered; 0: not
  std::atomic<Revision> delivered{0};
  std::mutex calling;  // held during a call of the sink
  std::atomic<bool> cancelled{false};
};

}  // namespace km::store
