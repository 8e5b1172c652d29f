#include "store/etcd_hub.h"

#include <algorithm>

#include "base/log.h"

namespace km::store {
namespace {

constexpr size_t kWindowEvents = 2000, kWindowBytes = 4 << 20;
// Most events come by themselves before it is worth to ask.
constexpr Duration kProgressFirst = std::chrono::milliseconds(4), kProgressAgain = std::chrono::milliseconds(50);
constexpr Duration kProgressGiveUp = std::chrono::seconds(30);  // on a revision that may never come

constexpr std::string_view kRoot = "/registry/";

}  // namespace

struct EtcdHub::Watching {
  std::string prefix;
  WatchSink* sink = nullptr;
  Revision next = 0;  // the first revision that it has not seen
  Revision progressAt = 0;
  std::shared_ptr<EtcdFeed> own;  // while it catches up
  bool attached = false, ended = false;
  bool withPrev = false;
  std::atomic<Revision> delivered{0};
  std::mutex calling;  // held during a call of the sink
  std::atomic<bool> cancelled{false};
};

class EtcdHub::Handle final : public Watch {
 public:
  Handle(EtcdHub& hub, WatchingPtr watching) : hub_(hub), w_(std::move(watching)) {}
  ~Handle() override {
    --hub_.count_;
    if (hub_.parts_.loop.inThread()) {
      w_->cancelled = true;
    } else {
      std::lock_guard lock(w_->calling);
      w_->cancelled = true;
    }
    hub_.parts_.loop.post([&hub = hub_, alive = hub_.alive_, w = w_] {
      if (!*alive) return;
      if (w->own) w->own->stop();
      w->own.reset();
      std::erase(hub.watches_, w);
    });
  }
  void requestProgress(Revision atLeast) override {
    hub_.parts_.loop.post([&hub = hub_, alive = hub_.alive_, w = w_, atLeast] {
      if (!*alive) return;
      if (atLeast > 0) {
        w->progressAt = w->progressAt == 0 ? atLeast : std::min(w->progressAt, atLeast);
        hub.answerProgress(*w);
        return hub.askProgress();
      }
      hub.parts_.freshRevision([&hub, alive, w](Result<Revision> now) {
        if (!*alive || w->cancelled || w->ended) return;
        if (!now.ok()) return hub.end(*w, now.status());
        w->progressAt = w->progressAt == 0 ? *now : std::min(w->progressAt, *now);
        hub.answerProgress(*w);
        hub.askProgress();
      });
    });
  }
  Revision delivered() const override { return w_->delivered; }

 private:
  EtcdHub& hub_;
  WatchingPtr w_;
};

EtcdHub::EtcdHub(Parts parts) : parts_(std::move(parts)) {}

EtcdHub::~EtcdHub() {
  *alive_ = false;
  if (feed_) feed_->stop();
  for (auto& w : watches_) {
    if (w->own) w->own->stop();
  }
}

std::unique_ptr<Watch> EtcdHub::watch(std::string prefix, Revision from, WatchSink& sink, bool withPrev) {
  auto w = std::make_shared<Watching>();
  w->prefix = std::move(prefix);
  w->sink = &sink;
  w->next = from;
  w->withPrev = withPrev;
  ++count_;
  parts_.loop.post([this, alive = alive_, w] {
    if (!*alive || w->cancelled) return;
    watches_.push_back(w);
    if (w->next > 0) return attach(w);
    parts_.freshRevision([this, alive, w](Result<Revision> now) {
      if (!*alive || w->cancelled) return;
      if (!now.ok()) return end(*w, now.status());
      w->next = *now + 1;
      attach(w);
    });
  });
  return std::make_unique<Handle>(*this, std::move(w));
}

std::shared_ptr<EtcdFeed> EtcdHub::makeFeed(std::string_view prefix, Revision from, bool withPrev, EtcdFeed::Handler handler) {
  std::string key, end;
  if (parts_.tellsProgress) {
    key = parts_.keys.toWire(prefix);
    end = prefixEnd(key);
  }
  // All keys: then every revision shows itself.
  if (key.empty()) key = std::string(1, '\0');
  if (end.empty()) end = std::string(1, '\0');
  return std::make_shared<EtcdFeed>(parts_.loop, parts_.transport, parts_.keys, std::move(key), std::move(end), from, withPrev,
                                    std::move(handler));
}

void EtcdHub::begin(Revision from) {
  EtcdFeed::Handler handler;
  handler.onEvents = [this](auto events) { received(std::move(events)); };
  handler.onProgress = [this](Revision revision) { advance(revision); };
  handler.onError = [this](const Status& why) { lost(why); };
  window_.clear();
  windowBytes_ = 0;
  position_ = windowStart_ = from - 1;
  feed_ = makeFeed(kRoot, from, false, std::move(handler));
  feed_->start();
}

bool EtcdHub::covers(std::string_view key) const { return !parts_.tellsProgress || key.starts_with(kRoot); }

void EtcdHub::attach(const WatchingPtr& w) {
  if (w->withPrev) return catchUp(w);
  if (!feed_) begin(w->next);
  if (!covers(w->prefix) || w->next <= windowStart_) return catchUp(w);
  w->attached = true;
  std::vector<EventPtr> missed;
  if (w->next <= position_) missed.assign(window_.begin(), window_.end());
  give(*w, missed, position_);
  answerProgress(*w);
}

void EtcdHub::catchUp(const WatchingPtr& w) {
  std::weak_ptr<Watching> weak = w;
  EtcdFeed::Handler handler;
  handler.onEvents = [this, weak](std::vector<std::shared_ptr<Event>> events) {
    auto w = weak.lock();
    if (!w || w->cancelled) return;
    std::vector<EventPtr> all(events.begin(), events.end());
    give(*w, all, all.back()->revision());
    caughtUp(w);
  };
  handler.onProgress = [this, weak](Revision revision) {
    auto w = weak.lock();
    if (!w || w->cancelled) return;
    give(*w, {}, revision);
    caughtUp(w);
  };
  handler.onError = [this, weak](const Status& why) {
    if (auto w = weak.lock()) end(*w, why);
  };
  w->own = makeFeed(w->prefix, w->next, w->withPrev, std::move(handler));
  w->own->start();
  askProgress();
}

// From here on the common feed has everything that this watch has not.
void EtcdHub::caughtUp(const WatchingPtr& w) {
  if (!w->withPrev && covers(w->prefix) && feed_ && w->own && w->next > position_) {
    // Not within the feed's own call.
    w->own->stop();
    parts_.loop.defer([own = std::move(w->own)] {});
    w->own = nullptr;
    w->attached = true;
  }
  answerProgress(*w);
}

void EtcdHub::give(Watching& w, const std::vector<EventPtr>& events, Revision upTo) {
  if (w.cancelled || w.ended) return;
  std::vector<EventPtr> due;
  for (const EventPtr& e : events) {
    if (e->revision() >= w.next && e->kv.key.starts_with(w.prefix)) due.push_back(e);
  }
  if (!due.empty()) {
    std::lock_guard lock(w.calling);
    if (w.cancelled) return;
    w.sink->onEvents(due);
  }
  w.next = std::max(w.next, upTo + 1);
  w.delivered = std::max(w.delivered.load(), upTo);
}

void EtcdHub::end(Watching& w, const Status& why) {
  if (std::exchange(w.ended, true)) return;
  w.attached = false;
  std::lock_guard lock(w.calling);
  if (!w.cancelled) w.sink->onError(why);
}

void EtcdHub::received(std::vector<std::shared_ptr<Event>> events) {
  std::vector<EventPtr> all;
  all.reserve(events.size());
  for (auto& e : events) {
    parts_.attach(*e);
    windowBytes_ += e->kv.key.size() + (e->kv.value ? e->kv.value->size() : 0) + 128;
    all.push_back(std::move(e));
    window_.push_back(all.back());
  }
  // By number: a sink may end watches.
  for (size_t i = 0; i < watches_.size(); ++i) {
    WatchingPtr w = watches_[i];
    if (w->attached) give(*w, all, all.back()->revision());
  }
  while (window_.size() > kWindowEvents || windowBytes_ > kWindowBytes) {
    const EventPtr& oldest = window_.front();
    windowStart_ = oldest->revision();
    windowBytes_ -= oldest->kv.key.size() + (oldest->kv.value ? oldest->kv.value->size() : 0) + 128;
    window_.pop_front();
    if (window_.empty()) break;
  }
  advance(all.back()->revision());
}

void EtcdHub::advance(Revision revision) {
  position_ = revision;
  for (size_t i = 0; i < watches_.size(); ++i) {
    WatchingPtr w = watches_[i];
    if (!w->attached) continue;
    give(*w, {}, revision);
    answerProgress(*w);
  }
  parts_.advanced(revision);
}

// History that nobody has seen is gone: whoever watches lists again.
void EtcdHub::lost(const Status& why) {
  KM_LOG(WARNING, "the watch of etcd ended: {}", why.message());
  parts_.loop.defer([feed = std::move(feed_)] {});
  feed_ = nullptr;
  window_.clear();
  auto all = watches_;
  std::erase_if(watches_, [](auto& w) { return w->attached; });
  for (auto& w : all) {
    if (w->attached) end(*w, why);
  }
}

void EtcdHub::reopen() {
  if (feed_) feed_->reopen();
  for (auto& w : watches_) {
    if (w->own) w->own->reopen();
  }
}

void EtcdHub::answerProgress(Watching& w) {
  Revision delivered = w.delivered;
  if (w.progressAt == 0 || w.progressAt > delivered || w.ended) return;
  w.progressAt = 0;
  std::lock_guard lock(w.calling);
  if (!w.cancelled) w.sink->onProgress(delivered);
}

// As long as somebody waits for a revision that no event has shown.
void EtcdHub::askProgress() {
  if (!parts_.tellsProgress) return;
  progressUntil_ = Clock::system().monotonic() + kProgressGiveUp;
  if (!progressTimer_) progressTimer_ = std::make_unique<async::Timer>(parts_.loop);
  if (progressTimer_->armed()) return;
  auto tick = [this](auto&& again) -> void {
    bool shared = false, any = false;
    for (auto& w : watches_) {
      if (w->ended || w->cancelled) continue;
      if (w->own) {
        any = true;
        w->own->askProgress();
      } else if (w->progressAt > position_) {
        shared = true;
      }
    }
    if (shared && feed_) feed_->askProgress();
    if ((!shared && !any) || Clock::system().monotonic() > progressUntil_) return;
    progressTimer_->start(kProgressAgain, [again] { again(again); });
  };
  progressTimer_->start(kProgressFirst, [tick] { tick(tick); });
}

}  // namespace km::store
