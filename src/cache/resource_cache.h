// ResourceCache: everything known of one stored resource (see README.md).
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "api/resource.h"
#include "base/clock.h"
#include "base/result.h"
#include "cache/event.h"
#include "cache/watch_index.h"
#include "cache/watcher.h"
#include "store/store.h"

namespace km::cache {

struct Config {
  const api::Resource* resource = nullptr;  // of the storage version
  std::string prefix;                       // of its keys, with the slash at the end: "/registry/pods/"
  std::string indexField;                   // a field that watches select by, or empty
};

// The objects at one moment, in key order.
struct Snapshot {
  std::shared_ptr<const std::vector<api::ObjectPtr>> objects;
  int64_t revision = 0;  // every event up to it is in
};

// Follows the store by a watch. If that ends (etcd has compacted what it had not sent yet), the cache reads all
// again; watches of clients then end with 410 Expired, as the events between are not known.
class ResourceCache : private store::WatchSink {
 public:
  ResourceCache(store::Store& store, Config config, Clock& clock = Clock::system());
  ~ResourceCache() override;  // all Watchers must be gone

  // Reads all objects and follows the store from then on. Blocks for the reading.
  Status start();

  const Config& config() const { return config_; }
  // "/registry/pods/ns/name".
  std::string storeKey(std::string_view ns, std::string_view name) const;

  // Reads see every event that was delivered; call whenFresh first where a read must see all acknowledged writes.
  api::ObjectPtr get(std::string_view ns, std::string_view name) const;
  // All objects, or those of one namespace. The whole list is shared between calls until something changes.
  Snapshot list(std::string_view ns = "") const;
  // Where the objects of a namespace, or those from `start` on ("ns/name"), stand in a whole list: a part of `objects`.
  static std::span<const api::ObjectPtr> part(const std::vector<api::ObjectPtr>& objects, std::string_view ns, std::string_view start = "");
  // All objects as they were at the revision, if that is at hand: nothing changed since, or the snapshot was kept. Null: the store knows.
  std::shared_ptr<const std::vector<api::ObjectPtr>> listAt(int64_t revision) const;
  // Keeps a whole list for listAt(), for a client that takes it in pages.
  void keep(const Snapshot& snapshot);
  // Those whose index field has the value.
  Snapshot listIndexed(std::string_view value) const;
  size_t size() const;

  // Runs `done` once the cache has all events up to the store's revision of now, so that what follows sees every
  // acknowledged write, also another server's. On this thread at once (the embedded engine's common case), else
  // on the committer thread.
  void whenFresh(std::function<void(Status)> done);
  // The same for a revision that a client names. The caller limits the wait, and then forgets it: `done` is not
  // called any more, unless it is being called already. 0: it was called at once.
  uint64_t whenAt(int64_t revision, std::function<void(Status)> done);
  void forget(uint64_t wait);
  // Every event up to this revision is in.
  int64_t revision() const;

  // Whether the window has every event after `revision`.
  bool reaches(int64_t revision) const;
  // Lets the window reach back to `revision`, or as far as the store's history and kMaxReach do, for whoever comes back
  // from before a restart. `done` is called on this thread, which reads and so blocks, or on that of a call that is
  // reading already: those who come back together read once.
  void reachBack(int64_t revision, std::function<void()> done);
  // Watches from the events after `revision` on. Fails with 410 Expired if the window does not reach back to it.
  Result<std::unique_ptr<Watcher>> watchFrom(int64_t revision, Selection selection, std::function<void()> wake);
  // Watches from now on; `initial` receives what is selected now, in key order, and the revision of that.
  std::unique_ptr<Watcher> watchWithInitial(Selection selection, std::function<void()> wake, Snapshot& initial);

  // Frees what is kept for those who may come back: events beyond the window's time, and encodings of objects that nobody asked for
  // since the last call. True if a later call has more to free; `tell` is called, from any thread, when that comes to be after a call
  // that gave false. Set before start().
  bool tidy();
  void whenUntidy(std::function<void()> tell) { tellUntidy_ = std::move(tell); }

  // The object of a stored value.
  Result<api::MutableObject> decode(const store::KeyValue& kv) const;

  // Value of the index field.
  std::string indexValue(const api::Object& o) const;

 private:
  friend class Watcher;

  void onEvents(std::span<const store::EventPtr> events) override;
  void onProgress(store::Revision revision) override;
  void onError(const Status& status) override;

  EventPtr apply(const store::Event& e);
  void extendTo(int64_t revision);
  std::vector<EventPtr> past(const store::History& history) const;
  bool trimWindow();
  void untidy() const {
    if (!untidy_.load(std::memory_order_relaxed) && !untidy_.exchange(true) && tellUntidy_) tellUntidy_();
  }
  void enlist(Watcher& w, Selection selection);
  void delist(Watcher* w);
  // Events after `revision` as the selection sees them; false if the window does not reach back.
  bool replay(int64_t revision, const Selection& selection, std::vector<Delivery>& out) const;
  void wakeWaiters(int64_t revision);
  void failWaiters(const Status& status);
  Result<std::map<std::string, api::ObjectPtr, std::less<>>> readAll(int64_t& revision);
  void follow(int64_t from);
  void listAgain(std::stop_token stop);

  struct Dated {
    EventPtr event;
    Duration at;
  };

  store::Store& store_;
  const Config config_;
  Clock& clock_;

  mutable std::shared_mutex mutex_;  // guards what follows; written on the committer thread only, but for watchers
  std::map<std::string, api::ObjectPtr, std::less<>> objects_;  // by key below the prefix: "ns/name"
  std::deque<Dated> window_;
  int64_t windowStart_ = 0;  // the window has every event after this revision
  int64_t lastEvent_ = 0;
  bool extending_ = false;  // the window's beginning stays
  int64_t reachEnd_ = 0;    // the store's history does not reach back further, or is too much
  WatchIndex watchers_;
  mutable std::atomic<bool> untidy_{false};
  std::function<void()> tellUntidy_;
  std::shared_ptr<const std::vector<api::ObjectPtr>> whole() const;  // with the lock held

  static constexpr size_t kMaxKept = 8;
  struct Kept {
    Snapshot snapshot;
    Duration at;
  };
  std::deque<Kept> kept_;  // by age; guarded by snapshotMutex_
  mutable std::mutex snapshotMutex_;
  mutable std::shared_ptr<const std::vector<api::ObjectPtr>> wholeList_;  // null: something changed

  struct Waiter {
    int64_t revision;
    std::function<void(Status)> done;
    uint64_t id;
  };
  std::mutex waitersMutex_;
  std::vector<Waiter> waiters_;
  uint64_t nextWait_ = 1;
  Status broken_;  // while the store cannot be followed nor read

  struct Returning {
    int64_t revision;
    std::function<void()> done;
  };
  std::mutex returningMutex_;
  std::vector<Returning> returning_;  // guarded by returningMutex_, as is the next
  bool reachingBack_ = false;         // a thread looks after returning_

  // The watch that is followed. One that ended is kept a while for those who look at it without a lock.
  std::atomic<store::Watch*> watch_ = nullptr;
  std::mutex followMutex_;
  std::unique_ptr<store::Watch> watchOwner_, endedWatch_;  // guarded by followMutex_
  // Lists again after the watch has ended. Waits for the next end.
  std::mutex listMutex_;
  std::condition_variable_any listWanted_;
  bool listAgain_ = false;
  std::jthread lister_;
};

}  // namespace km::cache
