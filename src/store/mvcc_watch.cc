#include <algorithm>

#include "store/mvcc_batch.h"
#include "store/row_format.h"

namespace km::store {
namespace {

// What one step of replaying history may take from the committer before it looks after its writers again.
constexpr size_t kReplayRows = 512;
constexpr size_t kReplayBytes = 1 << 20;

}  // namespace

class MvccStore::WatchHandle final : public Watch {
 public:
  WatchHandle(MvccStore& store, std::shared_ptr<Watching> watching)
      : store_(store), watching_(std::move(watching)) {}

  ~WatchHandle() override {
    --store_.watchCount_;
    if (std::this_thread::get_id() == store_.committer_.get_id()) {
      watching_->cancelled = true;  // within a sink or callback: no other call can be running
      return;
    }
    std::lock_guard lock(watching_->calling);
    watching_->cancelled = true;
  }

  void requestProgress(Revision atLeast) override {
    store_.enqueue(Progress{watching_, atLeast > 0 ? atLeast : store_.revision_.load()});
  }
  Revision delivered() const override { return watching_->delivered.load(); }

 private:
  MvccStore& store_;
  std::shared_ptr<Watching> watching_;
};

std::unique_ptr<Watch> MvccStore::watch(std::string prefix, Revision fromRevision, WatchSink& sink) {
  auto watching = std::make_shared<Watching>();
  watching->prefix = std::move(prefix);
  watching->sink = &sink;
  watching->next = fromRevision > 0 ? fromRevision : revision_.load() + 1;
  ++watchCount_;
  enqueue(StartWatch{watching});
  return std::make_unique<WatchHandle>(*this, std::move(watching));
}

void MvccStore::advanceWatches() {
  lagging_ = false;
  // By number: a sink may make the vector's elements end, but only the committer, below and in handle(),
  // changes it.
  for (size_t i = 0; i < watches_.size(); ++i) advance(*watches_[i]);
  std::erase_if(watches_, [](const std::shared_ptr<Watching>& w) { return w->ended || w->cancelled; });
}

void MvccStore::advance(Watching& w) {
  if (w.ended || w.cancelled) return;
  Revision revision = revision_;
  if (w.next < compacted_) return endWatch(w, compactedError());
  if (w.next <= revision) {
    if (window_.empty() || w.next < window_.first()) return replay(w);
    matching_.clear();
    for (Revision r = w.next; r <= revision; ++r) {
      const EventPtr& event = *window_.find(r);
      if (event->kv.key.starts_with(w.prefix)) matching_.push_back(event);
    }
    w.next = revision + 1;
    deliver(w, matching_, revision);
  } else if (w.delivered < revision) {
    w.delivered = revision;
  }
  if (w.progressAt != 0 && w.progressAt <= revision && !w.cancelled) {
    w.progressAt = 0;
    std::lock_guard lock(w.calling);
    if (!w.cancelled) w.sink->onProgress(revision);
  }
}

// Delivers the next piece of history from the rows.
void MvccStore::replay(Watching& w) {
  lagging_ = true;  // at least the window remains to be looked at
  std::vector<EventPtr> events;
  size_t rows = 0, bytes = 0;
  bool full = false;
  Revision last = revision_;
  std::string end = revisionKey(window_.empty() ? revision_ + 1 : window_.first());
  Status s =
      rows_->scan(revisionKey(w.next), end, [&](std::string_view key, std::string_view value) -> Status {
        Revision revision = 0;
        RowView row;
        if (!parseRevisionKey(key, revision) || !decodeRow(value, row)) {
          return rows_->damaged("a row cannot be decoded");
        }
        if (row.key.starts_with(w.prefix)) {
          KM_ASSIGN(EventPtr event, replayed(revision, value));
          events.push_back(std::move(event));
        }
        bytes += value.size();
        if (++rows < kReplayRows && bytes < kReplayBytes) return {};
        full = true;
        last = revision;
        return errors::failed("full");  // ends the scan
      });
  if (!s.ok() && !full) return endWatch(w, s);
  if (!full && !window_.empty()) last = window_.first() - 1;
  w.next = last + 1;
  deliver(w, events, last);
}

Result<EventPtr> MvccStore::replayed(Revision revision, std::string_view bytes) {
  RowView row;
  (void)decodeRow(bytes, row);
  auto event = std::make_shared<Event>();
  event->type = row.tombstone ? EventType::kDelete : EventType::kPut;
  event->kv = toKeyValue(revision, row);
  if (Revision before = index_.replacedBy(revision)) {
    KM_ASSIGN(event->prev, readRow(before));
  }
  return EventPtr(std::move(event));
}

void MvccStore::deliver(Watching& w, const std::vector<EventPtr>& events, Revision upTo) {
  if (!events.empty()) {
    std::lock_guard lock(w.calling);
    if (w.cancelled) return;
    w.sink->onEvents(events);
  }
  w.delivered = upTo;
}

void MvccStore::endWatch(Watching& w, const Status& why) {
  w.ended = true;
  std::lock_guard lock(w.calling);
  if (!w.cancelled) w.sink->onError(why);
}

}  // namespace km::store
