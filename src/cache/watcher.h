// One watch of a ResourceCache: what it selects, and the queue between the committer thread, which fills it, and
// the consumer, which drains it.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/status.h"
#include "cache/event.h"

namespace km::cache {

class ResourceCache;

// What a watch or list is about. An empty member selects everything.
struct Selection {
  std::string ns;
  std::string name;
  // A value of the resource's index field ("spec.nodeName" of pods): found by index, not by asking.
  std::string indexValue;
  bool byIndex = false;
  // Everything else: label and field selectors. May be empty. Called from any thread.
  std::function<bool(const api::Object&)> matches;

  bool selects(const api::Object& o) const;
};

// An event as one watcher sees it: an object that enters or leaves its selection is added or deleted for it.
struct Delivery {
  EventType type;
  api::ObjectPtr object;
  int64_t revision;
};

class Watcher {
 public:
  // `wake` is called, on the committer thread or a consumer's, when there is something to drain after there was nothing. It
  // must be quick: post and return. It is not called again before the next drain.
  Watcher(ResourceCache& cache, Selection selection, std::function<void()> wake);
  ~Watcher();  // when it returns, wake is not running and will not be called

  // Moves what is due into `out`, in order. An error ends the watch: 410 Expired when the watcher fell behind the window.
  // At most `limit` events; more wait for the next call (wake is then called again).
  Status drain(std::vector<Delivery>& out, size_t limit = 1000);

  // Every event up to this revision that concerns the watcher was drained: for bookmarks. 0 while something is queued.
  int64_t caughtUpTo() const;

  const Selection& selection() const { return selection_; }

 private:
  friend class ResourceCache;
  static constexpr size_t kMaxQueue = 2000;  // beyond it the watcher is parked: the window has the events

  // Committer thread.
  void push(const EventPtr& event);
  void park();  // the consumer is to look for its events in the window
  bool classify(const Event& event, Delivery& out) const;

  ResourceCache& cache_;
  const Selection selection_;
  const std::function<void()> wake_;

  mutable std::mutex mutex_;
  std::vector<Delivery> queue_;
  size_t next_ = 0;          // first of queue_ that was not drained
  int64_t seen_ = 0;         // revision of the last event pushed or replayed
  bool parked_ = false;      // events after seen_ stand only in the window
  bool signalled_ = false;   // wake was called and drain was not
};

}  // namespace km::cache
