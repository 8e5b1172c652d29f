#include "apiserver/watch_stream.h"

#include "base/rand.h"

namespace km::apiserver {
namespace {

constexpr double kMinTimeoutSeconds = 1800;
constexpr auto kBookmarkEvery = std::chrono::seconds(60);
// A client that does not read is not written to beyond this; its events wait in the cache.
constexpr size_t kMaxQueuedBytes = 256 << 10;
// Events that are taken from the watcher at once.
constexpr size_t kDrain = 50;

// Lives on the exchange's loop, kept alive by the callbacks of exchange, watcher and timers until close().
class WatchStream : public std::enable_shared_from_this<WatchStream> {
 public:
  WatchStream(Operations& operations, LongRunning& longRunning, HttpCallPtr http, CallPtr call, View view)
      : operations_(operations), longRunning_(longRunning), http_(std::move(http)), call_(std::move(call)), view_(std::move(view)) {}

  void begin() {
    auto self = shared_from_this();
    std::weak_ptr<WatchStream> weak = self;
    async::Loop* loop = &http_->exchange->loop();
    auto wake = [weak, loop] {
      loop->post([weak] {
        if (auto stream = weak.lock()) stream->pump();
      });
    };
    operations_.watch(call_, wake, [self](Result<WatchResult> r) {
      auto result = std::make_shared<Result<WatchResult>>(std::move(r));
      self->http_->onLoop([self, result] { self->opened(std::move(*result)); });
    });
  }

 private:
  void opened(Result<WatchResult> r) {
    if (!r.ok()) {
      // A version that is gone, or that did not come, is told inside the stream, as upstream does.
      if (r.status().is("Expired") || r.status().is("Timeout")) {
        start();
        write(renderErrorEvent(r.status(), view_));
        return close(true);
      }
      return http_->fail(r.status());
    }
    watcher_ = std::move(r->watcher);
    start();
    for (const api::ObjectPtr& o : r->initial) {
      if (!send(cache::EventType::kAdded, o)) return;
    }
    if (r->markInitialEnd) {
      write(renderBookmark(r->initialRevision, true, view_, first_));
      first_ = false;
    }
    pump();
  }

  void start() {
    auto self = shared_from_this();
    keep_ = self;
    http_->seat.reset();
    async::Loop* loop = &http_->exchange->loop();
    endKey_ = longRunning_.add([loop, weak = weak_from_this()] {
      loop->post([weak] {
        if (auto stream = weak.lock()) stream->close(true);
      });
    });
    http_->exchange->onClose([self] { self->close(false); });
    http_->exchange->onDrain([self] { self->pump(); });
    http::Headers headers = http_->headers(view_.format.streamContentType());
    http_->exchange->start(200, std::move(headers));
    double seconds = call_->timeoutSeconds && *call_->timeoutSeconds > 0 ? static_cast<double>(*call_->timeoutSeconds)
                                                                          : kMinTimeoutSeconds * (1 + randomFraction());
    timeout_ = std::make_unique<async::Timer>(http_->exchange->loop());
    timeout_->start(std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds)), [self] { self->close(true); });
    if (call_->bookmarks) scheduleBookmark(seconds);
  }

  // Regularly, and once shortly before the end, so that the client can go on from there.
  void scheduleBookmark(double remaining) {
    if (!bookmark_) bookmark_ = std::make_unique<async::Timer>(http_->exchange->loop());
    double every = std::chrono::duration<double>(kBookmarkEvery).count();
    double wait = remaining > 2 && remaining - 2 < every ? remaining - 2 : every;
    std::weak_ptr<WatchStream> weak = weak_from_this();
    bookmark_->start(std::chrono::duration_cast<Duration>(std::chrono::duration<double>(wait)), [weak, remaining, wait] {
      auto self = weak.lock();
      if (!self || !self->watcher_) return;
      int64_t revision = self->watcher_->caughtUpTo();
      if (revision > 0 && self->http_->exchange->queued() < kMaxQueuedBytes) {
        self->write(renderBookmark(revision, false, self->view_, self->first_));
        self->first_ = false;
      }
      if (remaining - wait > 2) self->scheduleBookmark(remaining - wait);
    });
  }

  void pump() {
    if (!watcher_) return;
    auto self = shared_from_this();
    while (watcher_ && http_->exchange->queued() < kMaxQueuedBytes) {
      batches_.clear();
      Status s = watcher_->drain(batches_, kDrain);
      for (const cache::BatchPtr& b : batches_) {
        if (!sendBatch(*b)) return;
      }
      if (!s.ok()) {
        write(renderErrorEvent(s, view_));
        return close(true);
      }
      if (batches_.empty()) return;
    }
  }

  // Objects as they are stored are framed once for all who watch the same; other views are each stream's own.
  bool sendBatch(const cache::Batch& batch) {
    if (view_.format.transform == OutputFormat::Transform::kNone && !call_->served->converts()) {
      bool proto = view_.format.encoding == Encoding::kProto;
      write(http::Body(batch.encoded(proto ? 1 : 0, [proto](const cache::Batch& b) { return renderEvents(b, proto); })));
      first_ = false;
      return true;
    }
    for (const cache::Delivery& d : batch.events()) {
      if (!send(d.type, d.object)) return false;
    }
    return true;
  }

  bool send(cache::EventType type, const api::ObjectPtr& o) {
    api::ObjectPtr shown = o;
    if (call_->served->converts() && view_.format.transform == OutputFormat::Transform::kNone) {
      auto converted = operations_.toServed(*call_, o);
      if (!converted.ok()) {
        write(renderErrorEvent(converted.status(), view_));
        close(true);
        return false;
      }
      shown = std::move(*converted);
    }
    write(renderEvent(type, shown, view_, first_));
    first_ = false;
    return true;
  }

  void write(http::Body body) { http_->exchange->write(std::move(body)); }

  void close(bool finish) {
    if (!keep_) return;
    auto self = std::move(keep_);
    longRunning_.remove(endKey_);
    watcher_.reset();
    timeout_.reset();
    bookmark_.reset();
    // The exchange drops its callbacks, and with them this, once it is answered or gone.
    if (finish) http_->exchange->finish();
  }

  Operations& operations_;
  LongRunning& longRunning_;
  uint64_t endKey_ = 0;
  HttpCallPtr http_;
  CallPtr call_;
  View view_;
  std::unique_ptr<cache::Watcher> watcher_;
  std::unique_ptr<async::Timer> timeout_, bookmark_;
  std::vector<cache::BatchPtr> batches_;
  std::shared_ptr<WatchStream> keep_;
  bool first_ = true;
};

}  // namespace

void startWatchStream(Operations& operations, LongRunning& longRunning, const HttpCallPtr& http, const CallPtr& call, View view) {
  std::make_shared<WatchStream>(operations, longRunning, http, call, std::move(view))->begin();
}

}  // namespace km::apiserver
