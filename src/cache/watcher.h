// One watch of a ResourceCache: what it selects, and the queue between the committer thread, which fills it, and
// the consumer, which drains it.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/status.h"
#include "cache/batch.h"
#include "cache/event.h"

namespace km::cache {

class ResourceCache;
struct WatchGroup;

// What a watch or list is about. An empty member selects everything.
struct Selection {
  std::string ns;
  std::string name;
  // A value of the resource's index field ("spec.nodeName" of pods): found by index, not by asking.
  std::string indexValue;
  bool byIndex = false;
  // Everything else: label and field selectors. May be empty. Called from any thread.
  std::function<bool(const api::Object&)> matches;
  // Says `matches` in words: watchers with equal words and members share one look at each event. Empty with `matches` set:
  // not shared.
  std::string text;

  bool selects(const api::Object& o) const;
  // Whether the event is one for this selection, and which.
  bool classify(const Event& event, Delivery& out) const;
};

class Watcher {
 public:
  // `wake` is called, on the committer thread or a consumer's, when there is something to drain after there was nothing. It
  // must be quick: post and return. It is not called again before the next drain.
  Watcher(ResourceCache& cache, std::function<void()> wake);
  ~Watcher();  // when it returns, wake is not running and will not be called

  // Moves what is due into `out`, in order: whole batches until there are `limit` events; more wait for the next call (wake is
  // then called again). An error ends the watch: 410 Expired when the watcher fell behind the window.
  Status drain(std::vector<BatchPtr>& out, size_t limit = 1000);

  // Every event up to this revision that concerns the watcher was drained: for bookmarks. 0 while something is queued.
  int64_t caughtUpTo() const;

 private:
  friend class ResourceCache;
  static constexpr size_t kMaxQueue = 500;     // events; beyond it the watcher is parked: the window has them
  static constexpr size_t kReplayBatch = 50;  // events of the window that are delivered as one batch

  // Committer thread.
  void push(const BatchPtr& batch);
  void park();  // the consumer is to look for its events in the window
  // Under the cache's lock and the watcher's: queues the window's events after seen_.
  Status replay();

  ResourceCache& cache_;
  const std::function<void()> wake_;
  WatchGroup* group_ = nullptr;  // set by the cache, which owns it
  size_t place_ = 0;             // in the group

  mutable std::mutex mutex_;
  std::vector<BatchPtr> queue_;
  size_t next_ = 0;          // first of queue_ that was not drained
  size_t queued_ = 0;        // events from next_ on
  int64_t seen_ = 0;         // revision of the last event pushed or replayed
  bool parked_ = false;      // events after seen_ stand only in the window
  bool signalled_ = false;   // wake was called and drain was not
};

}  // namespace km::cache
