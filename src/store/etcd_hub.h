// The watches of this process on etcd: they share one feed, so that all see one order of events and one
// position in it. A watch that begins further back has a feed of its own until it has caught up.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "store/etcd_feed.h"

namespace km::store {

// On the loop, but for watch(), position() and Watch's methods.
class EtcdHub {
 public:
  struct Parts {
    async::Loop& loop;
    EtcdTransport& transport;
    const EtcdKeys& keys;
    bool tellsProgress;  // of etcd's version
    // As Store::freshRevision; on the loop.
    std::function<void(std::function<void(Result<Revision>)>)> freshRevision;
    // Called with each event before it is given to anybody: puts the attachment in.
    std::function<void(Event&)> attach;
    // Every event up to this revision has been given.
    std::function<void(Revision)> advanced;
  };
  explicit EtcdHub(Parts parts);
  ~EtcdHub();

  // `withPrev`: events have what the key held before, unless it was compacted; such a watch keeps a feed of its own.
  std::unique_ptr<Watch> watch(std::string prefix, Revision from, WatchSink& sink, bool withPrev = false);
  // Whether events come now: somebody watches, and the feed stands.
  bool flows() const { return feed_ && feed_->flows(kEventWait); }
  // Whether a write of this key shows itself in the common feed.
  bool covers(std::string_view key) const;
  Revision position() const { return position_; }
  int64_t watches() const { return count_; }
  void reopen();

 private:
  struct Watching;
  class Handle;
  using WatchingPtr = std::shared_ptr<Watching>;

  void attach(const WatchingPtr& w);
  void begin(Revision from);
  void catchUp(const WatchingPtr& w);
  void caughtUp(const WatchingPtr& w);
  void give(Watching& w, const std::vector<EventPtr>& events, Revision upTo);
  void end(Watching& w, const Status& why);
  void received(std::vector<std::shared_ptr<Event>> events);
  void advance(Revision revision);
  void lost(const Status& why);
  void answerProgress(Watching& w);
  void askProgress();
  std::shared_ptr<EtcdFeed> makeFeed(std::string_view prefix, Revision from, bool withPrev, EtcdFeed::Handler handler);

  Parts parts_;
  std::shared_ptr<EtcdFeed> feed_;
  std::vector<WatchingPtr> watches_;
  std::deque<EventPtr> window_;  // the newest events: for watches that begin a little behind
  size_t windowBytes_ = 0;
  Revision windowStart_ = 0;  // the window has every event behind it
  std::atomic<Revision> position_{0};
  std::atomic<int64_t> count_{0};
  std::unique_ptr<async::Timer> progressTimer_;
  Duration progressUntil_{0};
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace km::store
