// The store: key, bytes, revision. As small as what Kubernetes needs, and shaped like etcd's v3 API: behind it
// stand the embedded engine (store/embedded.h) and a cluster of etcd (store/etcd.h). Knows nothing of objects.
//
// Revisions. The store has one revision. An empty store stands at 1; every write (a put, or a delete of a key
// that exists) takes the next one; reads and failed guards take none. The embedded engine gives each write a
// revision of its own; with etcd several events may share one.
//
// Threads. Every method may be called from any thread. A store has one committer thread: it alone runs the
// callbacks of writes and the methods of sinks (with etcd it is the thread of the connections). Those must be
// quick and must not block or call a blocking method of the store (get, range, currentRevision, commitAndWait,
// ...): post the work elsewhere. Calling commit(), freshRevision(), watch(), requestProgress(), compact() and
// the lease calls from there is allowed, and so is destroying a Watch.
//
// Order. A write is (1) durable, (2) visible to get and range, (3) its event is given to every watch that is
// caught up, (4) its callback runs. So whoever was told that a write succeeded finds it in the store, and its
// event has already been given to the sinks of this process. With etcd the event comes by the watch, and (4)
// waits for it; where the watch is broken or slow for kEventWait the callback runs without it. What others
// have written to the same etcd is seen after freshRevision() and Watch::requestProgress(). A write that was
// acknowledged survives `kill -9` and loss of power at any instant (of etcd: of a minority).
//
// Errors. A failed guard is no error (TxnResult::succeeded). A read or watch of a revision that was compacted
// gives 410 Expired with etcd's words; a read of one in the future, 400 with etcd's words (a watch waits for
// it). If the disk fails a write, that write and all later ones fail with 503: the state on the disk is then
// known only after a restart. With etcd a write whose outcome is unknown (the connection broke, no answer
// came in time) fails with 500 or 504 and may have happened: it is never sent twice.
//
// End. Destroy every Watch first. The destructor commits what is queued, runs the callbacks, then returns.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/status.h"

namespace km::store {

// How long an acknowledged write of etcd waits for its own event.
inline constexpr Duration kEventWait = std::chrono::seconds(1);

using Revision = int64_t;
using LeaseId = int64_t;  // 0: no lease

using Bytes = std::shared_ptr<const std::string>;  // immutable, shared with the store; null: none

struct KeyValue {
  std::string key;
  Bytes value;
  Revision createRevision = 0;  // of the put that made the key
  Revision modRevision = 0;     // of the last put
  int64_t version = 0;          // 1 for the put that made the key, then one more for each put
  LeaseId lease = 0;
};

// One operation on one key, guarded or not. Make it with the functions below.
struct Txn {
  enum class Op : uint8_t { kPut, kDelete };
  Op op = Op::kPut;
  std::string key;
  Bytes value;  // for a put; must not be null
  // The key's modRevision must be this for the operation to happen; 0: the key must be absent. None: no
  // guard.
  std::optional<Revision> guard;
  LeaseId lease = 0;  // for a put: the key goes when the lease ends. A put without one detaches the key.
  // Travels in the event of this write, live and in the window of recent events, but not to the disk: a watch
  // must cope with null. The API server passes the decoded object, so that its cache decodes nothing. Whoever
  // passes one does not change it after commit() but in the callback, and there only if the write failed. With
  // etcd only the events of this process's own writes have it.
  std::shared_ptr<const void> attachment;

  static Txn create(std::string key, Bytes value, LeaseId lease = 0);
  static Txn update(std::string key, Revision modRevision, Bytes value, LeaseId lease = 0);
  static Txn erase(std::string key, Revision modRevision);
  static Txn put(std::string key, Bytes value, LeaseId lease = 0);  // unguarded
  static Txn eraseAny(std::string key);                             // unguarded; succeeds on an absent key
};

struct TxnResult {
  bool succeeded = false;  // false: the guard failed and nothing was written
  // Of the write; else the store's revision when the transaction was looked at.
  Revision revision = 0;
  // Succeeded put: what was stored (with etcd createRevision and version are known, not 0, only of a new key).
  // Succeeded delete: what was deleted (none if there was nothing). Failed guard: what the key holds (none if
  // absent).
  std::optional<KeyValue> kv;
};

struct RangeRequest {
  std::string start;
  std::string end;         // exclusive; empty: no upper bound
  int64_t limit = 0;       // 0: all
  Revision revision = 0;   // 0: the newest
  bool keysOnly = false;   // kvs carry key and modRevision; the other members are unspecified
  bool countOnly = false;  // no kvs, only the count

  // All keys that begin with `prefix`.
  static RangeRequest prefix(std::string_view prefix);
};

struct RangeResult {
  std::vector<KeyValue> kvs;  // in key order
  int64_t count = 0;          // keys in [start, end) at the revision read, whatever the limit
  Revision revision =
      0;  // the revision read: the request's, or else the store's newest (use it for the next page)
  bool more = false;  // the limit cut the answer

  int64_t remaining() const { return count - static_cast<int64_t>(kvs.size()); }
};

enum class EventType : uint8_t { kPut, kDelete };

// Immutable and shared by all watches.
struct Event {
  EventType type = EventType::kPut;
  // Put: what was stored. Delete: only key and modRevision (the revision of the delete).
  KeyValue kv;
  // What the key held before; none if it was absent, or (only for an event at the very revision of the last
  // compaction) if the old value was compacted. With etcd none but in history().
  std::optional<KeyValue> prev;
  std::shared_ptr<const void>
      attachment;  // Txn::attachment; null for replayed history and for expired leases

  Revision revision() const { return kv.modRevision; }
};
using EventPtr = std::shared_ptr<const Event>;

// Receives a watch's events. Owned by the caller; must outlive the Watch. Called only on the committer
// thread.
class WatchSink {
 public:
  virtual ~WatchSink() = default;
  // In the order of revisions, without loss or repetition; all events of one revision come in one call.
  virtual void onEvents(std::span<const EventPtr> events) = 0;
  // Answers requestProgress(): every event up to and including `revision` has been delivered.
  virtual void onProgress(Revision revision) = 0;
  // The watch has ended (compacted start revision, damage, lost connection); nothing follows. The caller
  // lists again.
  virtual void onError(const Status& status) = 0;
};

// Events of the past, in the order of revisions: all of those asked for after the revision `after`.
struct History {
  std::vector<EventPtr> events;
  Revision after = 0;
};

// A running watch. The destructor ends it: after it returns, the sink is not called (it waits for a running
// call, unless it is itself called from the sink).
class Watch {
 public:
  virtual ~Watch() = default;
  // One onProgress follows once every event up to `atLeast` was delivered; 0: up to the store's revision at the
  // time of this call. Requests made while one is under way share the answer, which comes for the lowest: who
  // wanted more asks again. Of a revision in the future it comes when writes have reached it.
  virtual void requestProgress(Revision atLeast) = 0;
  // Every event up to and including this revision has been delivered. Moves on with every write to the store,
  // also to keys outside the prefix. A look at an atomic: the fast path of a consistent read.
  virtual Revision delivered() const = 0;
};

// Latency of making a batch durable. Bucket i counts batches that took at most kBucketSeconds[i]; the last
// bucket counts the rest (not cumulative). The bounds are those of etcd_disk_wal_fsync_duration_seconds.
struct SyncLatency {
  static constexpr std::array<double, 14> kBucketSeconds = {0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064,
                                                            0.128, 0.256, 0.512, 1.024, 2.048, 4.096, 8.192};
  std::array<uint64_t, 15> counts{};
  uint64_t count = 0;
  double sumSeconds = 0;
};

struct Stats {
  int64_t bytesOnDisk = 0;  // 0 in memory
  int64_t keys = 0;
  int64_t history = 0;  // older revisions kept besides the newest of each key, and tombstones
  int64_t leases = 0;
  int64_t watches = 0;
  Revision revision = 0;
  Revision compacted = 0;  // 0: never
  uint64_t transactions = 0;
  SyncLatency sync;
};

class Store {
 public:
  template <typename T>
  using Callback = std::function<void(Result<T>)>;
  using Done = std::function<void(Status)>;

  virtual ~Store() = default;

  // Writes. `done` is called exactly once, on the committer thread, after the write is durable and its event
  // was delivered. The embedded engine does the transactions of one thread in the order of the calls; with
  // etcd who needs an order waits for the answer.
  virtual void commit(Txn txn, Callback<TxnResult> done) = 0;

  // Reads; they see every acknowledged write. They may block for the disk (or, with etcd, the network).
  virtual Result<std::optional<KeyValue>> get(std::string_view key) = 0;
  virtual Result<RangeResult> range(const RangeRequest& request) = 0;
  virtual Result<Revision> currentRevision() = 0;
  // The same without blocking: a revision that is not less than that of any write acknowledged before this call,
  // by whomever. `done` is called at once on this thread, or later on the committer thread. Calls under way at
  // the same time share a request to etcd.
  virtual void freshRevision(Callback<Revision> done) { done(currentRevision()); }

  // Watches all keys that begin with `prefix`. First the events of history from `fromRevision` on
  // (inclusive), then live ones. 0: what is written after this call. Errors come to the sink: Expired if
  // fromRevision was compacted.
  virtual std::unique_ptr<Watch> watch(std::string prefix, Revision fromRevision, WatchSink& sink) = 0;

  // The events of the keys that begin with `prefix`, after `after` up to and including `through`, with what the keys
  // held before. Where they are more than `maxEvents`, or more than `maxBytes` of values, or where the older ones were
  // compacted, only the newest: see History::after. Blocks as reads do. Expired where the store has no such history; etcd says so
  // already where `after` was compacted.
  virtual Result<History> history(std::string_view prefix, Revision after, Revision through, size_t maxEvents, size_t maxBytes);

  // Forgets history before `revision`: reads at it and above, and watches from it on, still work. Expired if
  // that was compacted already, 400 if it lies in the future. Space is given back in the background. See
  // store/compactor.h.
  virtual void compact(Revision revision, Done done) = 0;

  // When a lease ends, by time or by revoke, its keys are deleted, with events. Leases survive a restart.
  virtual void leaseGrant(int64_t ttlSeconds, Callback<LeaseId> done) = 0;
  virtual void leaseRevoke(LeaseId lease, Done done) = 0;  // 404 if there is none
  // A lease for one key that is to live `ttlSeconds`, a minute more or less: etcd's are shared by the keys of a
  // while, as upstream shares them. Not to be revoked.
  virtual void leaseForKey(int64_t ttlSeconds, Callback<LeaseId> done) {
    leaseGrant(ttlSeconds, std::move(done));
  }

  // Whether the store answers, within the time: for health checks. Like freshRevision() in threads.
  virtual void probe(Duration timeout, Done done) { done({}); }

  // The process is about to end: from now on no call waits for an etcd that does not answer for longer than a
  // second.
  virtual void hurry() {}

  // Writes the whole store, with history and leases, to one new file. Runs on the caller's thread, beside
  // writes.
  virtual Status backup(const std::string& path) = 0;

  virtual Stats stats() = 0;

  // For tests with a fake clock: leases whose time has come are ended soon after this call.
  virtual void clockMoved() {}
};

// Blocking forms, for tools and tests. Never on a committer thread.
Result<TxnResult> commitAndWait(Store& store, Txn txn);
Status compactAndWait(Store& store, Revision revision);
Result<LeaseId> leaseGrantAndWait(Store& store, int64_t ttlSeconds);
Status leaseRevokeAndWait(Store& store, LeaseId lease);

// The first string after all those that begin with `prefix`; empty if there is none (all bytes 0xff, or
// empty).
std::string prefixEnd(std::string_view prefix);

}  // namespace km::store
