#include "cache/watcher.h"

#include <fmt/format.h>

#include "api/types/meta_v1.h"
#include "cache/resource_cache.h"

namespace km::cache {

api::ObjectPtr withRevision(const api::Object& object, int64_t revision) {
  api::MutableObject copy = object.clone();
  copy->meta().resourceVersion = std::to_string(revision);
  return copy;
}

api::ObjectPtr Event::departed() const {
  if (api::ObjectPtr made = departed_.load()) return made;
  api::ObjectPtr fresh = withRevision(*prev, revision), expected;
  return departed_.compare_exchange_strong(expected, fresh) ? fresh : expected;
}

bool Selection::selects(const api::Object& o) const {
  if (!ns.empty() && o.ns() != ns) return false;
  if (!name.empty() && o.name() != name) return false;
  return !matches || matches(o);
}

Watcher::Watcher(ResourceCache& cache, Selection selection, std::function<void()> wake)
    : cache_(cache), selection_(std::move(selection)), wake_(std::move(wake)) {}

Watcher::~Watcher() { cache_.delist(this); }

bool Watcher::classify(const Event& e, Delivery& out) const {
  bool is = e.type != EventType::kDeleted && selection_.selects(*e.object);
  bool was = e.prev != nullptr && selection_.selects(*e.prev);
  if (!is && !was) return false;
  out.revision = e.revision;
  if (is) {
    out.type = was ? EventType::kModified : EventType::kAdded;
    out.object = e.object;
  } else {
    out.type = EventType::kDeleted;
    out.object = e.type == EventType::kDeleted ? e.object : e.departed();
  }
  return true;
}

void Watcher::push(const EventPtr& event) {
  Delivery d;
  if (!classify(*event, d)) return;
  bool signal = false;
  {
    std::lock_guard lock(mutex_);
    if (!parked_ && queue_.size() - next_ >= kMaxQueue) parked_ = true;
    if (!parked_) {
      seen_ = event->revision;
      queue_.push_back(std::move(d));
    }
    signal = !std::exchange(signalled_, true);
  }
  if (signal) wake_();
}

void Watcher::park() {
  bool signal = false;
  {
    std::lock_guard lock(mutex_);
    parked_ = true;
    signal = !std::exchange(signalled_, true);
  }
  if (signal) wake_();
}

Status Watcher::drain(std::vector<Delivery>& out, size_t limit) {
  bool again = false;
  Status error;
  {
    // The cache's lock comes first, as on the committer thread.
    std::shared_lock cacheLock(cache_.mutex_);
    std::lock_guard lock(mutex_);
    signalled_ = false;
    size_t n = std::min(limit, queue_.size() - next_);
    for (size_t i = 0; i < n; i++) out.push_back(std::move(queue_[next_++]));
    if (next_ == queue_.size()) {
      queue_.clear();
      next_ = 0;
      if (queue_.capacity() > 256) queue_.shrink_to_fit();
      if (parked_) {
        if (!cache_.replay(seen_, *this, queue_)) {
          error = errors::expired(fmt::format("too old resource version: {} ({})", seen_, cache_.windowStart_));
        } else {
          parked_ = false;
          seen_ = cache_.lastEvent_;
        }
      }
    }
    again = next_ < queue_.size();
    if (again) signalled_ = true;
  }
  if (again) wake_();
  return error;
}

int64_t Watcher::caughtUpTo() const {
  int64_t revision = cache_.revision();
  std::shared_lock cacheLock(cache_.mutex_);
  std::lock_guard lock(mutex_);
  if (parked_ || next_ < queue_.size()) return 0;
  return revision;
}

}  // namespace km::cache
