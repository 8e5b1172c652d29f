#include <deque>

#include "store/etcd_store.h"

namespace km::store {
namespace {

size_t sizeOf(const Event& e) { return e.kv.key.size() + (e.kv.value ? e.kv.value->size() : 0); }

// Keeps the newest events up to a revision, and tells when all are there.
class HistorySink final : public WatchSink {
 public:
  HistorySink(Revision after, Revision through, size_t maxEvents, size_t maxBytes)
      : through_(through), maxEvents_(maxEvents), maxBytes_(maxBytes), after_(after) {}

  void onEvents(std::span<const EventPtr> events) override {
    std::lock_guard lock(mutex_);
    for (const EventPtr& e : events) {
      if (e->revision() <= through_ && !complete_) add(e);
    }
    if (events.back()->revision() >= through_) finish();
  }
  void onProgress(Revision revision) override {
    std::lock_guard lock(mutex_);
    if (revision >= through_) finish();
  }
  void onError(const Status& status) override {
    std::lock_guard lock(mutex_);
    status_ = status;
    finish();
  }

  Result<History> wait(Duration timeout) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, timeout, [&] { return complete_; })) return errors::timeout("etcd did not send its history in time", 0);
    KM_TRY(status_);
    return History{{events_.begin(), events_.end()}, after_};
  }

 private:
  void add(const EventPtr& e) {
    // Where it is not known what the key held, the history begins behind.
    bool created = e->type == EventType::kPut && e->kv.version == 1;
    if (!created && !e->prev) {
      events_.clear();
      bytes_ = 0;
      after_ = e->revision();
      return;
    }
    if (e->revision() <= after_) return;
    bytes_ += sizeOf(*e);
    events_.push_back(e);
    while (events_.size() > maxEvents_ || bytes_ > maxBytes_) {
      after_ = events_.front()->revision();
      // All of one revision, or none.
      while (!events_.empty() && events_.front()->revision() <= after_) {
        bytes_ -= sizeOf(*events_.front());
        events_.pop_front();
      }
    }
  }
  void finish() {
    complete_ = true;
    changed_.notify_all();
  }

  const Revision through_;
  const size_t maxEvents_, maxBytes_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<EventPtr> events_;
  size_t bytes_ = 0;
  Revision after_;
  bool complete_ = false;
  Status status_;
};

}  // namespace

Result<History> EtcdStore::history(std::string_view prefix, Revision after, Revision through, size_t maxEvents, size_t maxBytes) {
  HistorySink sink(after, through, maxEvents, maxBytes);
  std::unique_ptr<Watch> watch = hub_->watch(std::string(prefix), after + 1, sink, true);
  watch->requestProgress(through);
  return sink.wait(options_.timeout);
}

}  // namespace km::store
