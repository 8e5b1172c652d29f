#include "store/mvcc.h"

#include <algorithm>

#include <chrono>

#include "async/loop.h"
#include "store/mvcc_batch.h"
#include "store/row_format.h"

namespace km::store {
namespace {

// Bounds of one batch: what waits longer gains nothing from a shared sync.
constexpr size_t kMaxBatchCommands = 1024;
constexpr size_t kMaxBatchBytes = 4 << 20;
// Writes looked at in one step of compaction; a step holds up readers and writers for about a millisecond.
constexpr size_t kCompactSteps = 2000;

void count(SyncLatency& latency, double seconds) {
  size_t i = 0;
  while (i < SyncLatency::kBucketSeconds.size() && seconds > SyncLatency::kBucketSeconds[i]) ++i;
  ++latency.counts[i];
  ++latency.count;
  latency.sumSeconds += seconds;
}

}  // namespace

Status compactedError() {
  return errors::expired("etcdserver: mvcc: required revision has been compacted");
}
Status futureRevisionError() {
  return errors::badRequest("etcdserver: mvcc: required revision is a future revision");
}
Status leaseNotFoundError() {
  return Status(404, "NotFound", "etcdserver: requested lease not found");
}

MvccStore::MvccStore(std::unique_ptr<RowStore> rows, Clock& clock) : rows_(std::move(rows)), clock_(clock) {}

MvccStore::~MvccStore() {
  if (!committer_.joinable()) return;
  {
    std::lock_guard lock(queueMutex_);
    stopping_ = true;
  }
  queueChanged_.notify_one();
  committer_.join();
}

void MvccStore::enqueue(Command command) {
  bool wasEmpty;
  {
    std::lock_guard lock(queueMutex_);
    wasEmpty = queue_.empty();
    queue_.push_back(std::move(command));
  }
  if (wasEmpty) queueChanged_.notify_one();
}

void MvccStore::commit(Txn txn, Callback<TxnResult> done) {
  enqueue(Commit{std::move(txn), std::move(done)});
}
void MvccStore::compact(Revision revision, Done done) {
  enqueue(Compact{revision, std::move(done)});
}
void MvccStore::leaseGrant(int64_t ttlSeconds, Callback<LeaseId> done) {
  enqueue(Grant{ttlSeconds, std::move(done)});
}
void MvccStore::leaseRevoke(LeaseId lease, Done done) {
  enqueue(Revoke{lease, std::move(done)});
}

void MvccStore::clockMoved() {
  {
    std::lock_guard lock(queueMutex_);
    woken_ = true;
  }
  queueChanged_.notify_one();
}

// Waits until there is something to do, and takes the commands of the next batch. False: the end.
bool MvccStore::waitForWork(std::vector<Command>& commands) {
  std::unique_lock lock(queueMutex_);
  auto ready = [&] { return !queue_.empty() || stopping_ || woken_; };
  if (!lagging_ && !compacting_) {
    if (auto end = leases_.nextEnd(); end && failed_.ok()) {
      queueChanged_.wait_for(lock, *end - clock_.monotonic(), ready);
    } else {
      queueChanged_.wait(lock, ready);
    }
  }
  woken_ = false;
  if (stopping_ && queue_.empty()) return false;
  size_t bytes = 0;
  while (!queue_.empty() && commands.size() < kMaxBatchCommands && bytes < kMaxBatchBytes) {
    if (auto* c = std::get_if<Commit>(&queue_.front()); c != nullptr && c->txn.value)
      bytes += c->txn.value->size();
    commands.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  return true;
}

void MvccStore::run() {
  std::vector<Command> commands;
  while (waitForWork(commands)) {
    Batch batch{revision_.load() + 1};
    if (failed_.ok()) endDueLeases(batch);
    for (Command& command : commands) handle(command, batch);
    commands.clear();
    finish(batch);
    if (compacting_) compactStep();
  }
}

void MvccStore::handle(Command& command, Batch& batch) {
  if (auto* commit = std::get_if<Commit>(&command)) {
    prepare(*commit, batch);
  } else if (auto* compact = std::get_if<Compact>(&command)) {
    prepare(*compact, batch);
  } else if (auto* grant = std::get_if<Grant>(&command)) {
    prepare(*grant, batch);
  } else if (auto* revoke = std::get_if<Revoke>(&command)) {
    prepare(*revoke, batch);
  } else if (auto* start = std::get_if<StartWatch>(&command)) {
    watches_.push_back(std::move(start->watching));
  } else if (auto* progress = std::get_if<Progress>(&command)) {
    Revision& at = progress->watching->progressAt;
    at = at == 0 ? progress->atLeast : std::min(at, progress->atLeast);
  }
}

void MvccStore::endDueLeases(Batch& batch) {
  while (LeaseId lease = leases_.due(clock_.monotonic())) endLease(lease, batch);
}

// The order of these steps is the promise at the head of store.h.
void MvccStore::finish(Batch& batch) {
  if (failed_.ok() && !batch.mutations.empty()) {
    auto start = std::chrono::steady_clock::now();
    failed_ = rows_->write(batch.mutations, true);
    std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    std::lock_guard lock(statsMutex_);
    count(sync_, took.count());
    transactions_ += batch.transactions;
  }
  if (failed_.ok()) publish(batch);
  {
    async::PostBatch together;
    advanceWatches();
  }
  if (failed_.ok() && !batch.events.empty()) {
    std::unique_lock lock(indexMutex_);
    window_.trim();
  }
  async::PostBatch together;
  for (auto& completion : batch.completions) completion(failed_);
}

void MvccStore::publish(Batch& batch) {
  if (batch.events.empty() && batch.compacted == 0) return;
  std::unique_lock lock(indexMutex_);
  for (const EventPtr& event : batch.events) {
    index_.add(event->kv.key, event->revision(), event->type == EventType::kDelete);
    window_.push(event);
  }
  revision_ = batch.next - 1;
  if (batch.compacted != 0) {
    compacted_ = batch.compacted;
    compacting_ = true;
  }
}

// Drops some of the rows that compaction made useless. Not synced: what a crash forgets is found again at the
// start.
void MvccStore::compactStep() {
  std::vector<Revision> dropped;
  {
    std::unique_lock lock(indexMutex_);
    compacting_ = !index_.compact(compacted_, kCompactSteps, dropped);
  }
  if (dropped.empty() || !failed_.ok()) return;
  std::vector<Mutation> removals;
  removals.reserve(dropped.size());
  for (Revision revision : dropped) removals.push_back({revisionKey(revision), std::nullopt});
  failed_ = rows_->write(removals, false);
}

}  // namespace km::store
