// The multi-version engine over any RowStore: etcd's semantics with one committer thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <random>
#include <shared_mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "store/event_window.h"
#include "store/key_index.h"
#include "store/lease_table.h"
#include "store/rows.h"
#include "store/store.h"

namespace km::store {

class MvccStore final : public Store {
 public:
  // Reads and checks every row, then starts the committer.
  static Result<std::unique_ptr<Store>> open(std::unique_ptr<RowStore> rows, Clock& clock);
  // Only reads and checks: changes nothing in rows that hold a store.
  static Status check(std::unique_ptr<RowStore> rows);
  ~MvccStore() override;

  void commit(Txn txn, Callback<TxnResult> done) override;
  Result<std::optional<KeyValue>> get(std::string_view key) override;
  Result<RangeResult> range(const RangeRequest& request) override;
  Result<Revision> currentRevision() override { return revision_.load(); }
  std::unique_ptr<Watch> watch(std::string prefix, Revision fromRevision, WatchSink& sink) override;
  Result<History> history(std::string_view prefix, Revision after, Revision through, size_t maxEvents, size_t maxBytes) override;
  void compact(Revision revision, Done done) override;
  void leaseGrant(int64_t ttlSeconds, Callback<LeaseId> done) override;
  void leaseRevoke(LeaseId lease, Done done) override;
  Status backup(const std::string& path) override;
  Stats stats() override;
  void clockMoved() override;

 private:
  struct Watching;  // the state of one watch
  class WatchHandle;
  struct Commit {
    Txn txn;
    Callback<TxnResult> done;
  };
  struct Compact {
    Revision revision;
    Done done;
  };
  struct Grant {
    int64_t ttlSeconds;
    Callback<LeaseId> done;
  };
  struct Revoke {
    LeaseId lease;
    Done done;
  };
  struct StartWatch {
    std::shared_ptr<Watching> watching;
  };
  struct Progress {
    std::shared_ptr<Watching> watching;
    Revision atLeast;
  };
  using Command = std::variant<Commit, Compact, Grant, Revoke, StartWatch, Progress>;
  struct Batch;

  MvccStore(std::unique_ptr<RowStore> rows, Clock& clock);

  // Opening (mvcc_open.cc).
  Status load();
  Status loadMeta();
  Status loadRows();
  Status loadLeases(const std::unordered_map<std::string, LeaseId>& attached);

  // The committer (mvcc.cc).
  void enqueue(Command command);
  void run();
  bool waitForWork(std::vector<Command>& commands);
  void handle(Command& command, Batch& batch);
  void endDueLeases(Batch& batch);
  void finish(Batch& batch);
  void publish(Batch& batch);
  void compactStep();

  // Preparing one command (mvcc_write.cc).
  void prepare(Commit& command, Batch& batch);
  void prepare(Compact& command, Batch& batch);
  void prepare(Grant& command, Batch& batch);
  void prepare(Revoke& command, Batch& batch);
  Result<TxnResult> apply(Txn& txn, Batch& batch);
  Result<std::optional<KeyValue>> current(const std::string& key, const Batch& batch);
  void record(std::shared_ptr<Event> event, Batch& batch);
  void endLease(LeaseId lease, Batch& batch);

  // Watches (mvcc_watch.cc).
  void advanceWatches();
  void advance(Watching& w);
  void replay(Watching& w);
  Result<EventPtr> replayed(Revision revision, std::string_view row);
  void deliver(Watching& w, const std::vector<EventPtr>& events, Revision upTo);
  void endWatch(Watching& w, const Status& why);

  // Reads (mvcc_read.cc, mvcc_history.cc).
  Result<std::optional<KeyValue>> readRow(Revision revision);
  Status checkReadable(Revision revision) const;

  const std::unique_ptr<RowStore> rows_;
  Clock& clock_;

  // Guards index_ and window_. The committer alone changes them, so it reads them without the lock.
  mutable std::shared_mutex indexMutex_;
  KeyIndex index_;
  EventWindow window_;
  std::atomic<Revision> revision_{1};   // changed under indexMutex_
  std::atomic<Revision> compacted_{0};  // changed under indexMutex_

  // Of the committer.
  LeaseTable leases_;
  std::vector<std::shared_ptr<Watching>> watches_;
  bool lagging_ = false;     // some watch has history to replay
  bool compacting_ = false;  // rows before compacted_ remain to be dropped
  Status failed_;            // the first failed write; ends all later ones
  std::mt19937_64 random_{std::random_device{}()};
  std::vector<EventPtr> matching_;  // scratch

  std::atomic<int64_t> leaseCount_{0};
  std::atomic<int64_t> watchCount_{0};
  mutable std::mutex statsMutex_;
  SyncLatency sync_;
  uint64_t transactions_ = 0;

  std::mutex queueMutex_;
  std::condition_variable queueChanged_;
  std::deque<Command> queue_;
  bool stopping_ = false;
  bool woken_ = false;

  std::thread committer_;  // last: it starts when all else is there
};

// The words of etcd, which upstream's storage layer and clients know.
Status compactedError();
Status futureRevisionError();
Status leaseNotFoundError();

}  // namespace km::store
