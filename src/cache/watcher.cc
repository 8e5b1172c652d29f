#include "cache/watcher.h"

#include <fmt/format.h>

#include <algorithm>

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

bool Selection::classify(const Event& e, Delivery& out) const {
  bool is = e.type != EventType::kDeleted && selects(*e.object);
  bool was = e.prev != nullptr && selects(*e.prev);
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

Watcher::Watcher(ResourceCache& cache, std::function<void()> wake) : cache_(cache), wake_(std::move(wake)) {}

Watcher::~Watcher() { cache_.delist(this); }

void Watcher::push(const BatchPtr& batch) {
  bool signal = false;
  {
    std::lock_guard lock(mutex_);
    if (!parked_ && queued_ >= kMaxQueue) parked_ = true;
    if (!parked_) {
      seen_ = batch->revision();
      queued_ += batch->size();
      queue_.push_back(batch);
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

Status Watcher::replay() {
  std::vector<Delivery> events;
  if (!cache_.replay(seen_, group_->selection, events)) {
    return errors::expired(fmt::format("too old resource version: {} ({})", seen_, cache_.windowStart_));
  }
  queued_ += events.size();
  for (size_t i = 0; i < events.size(); i += kReplayBatch) {
    auto from = events.begin() + static_cast<long>(i);
    auto to = events.begin() + static_cast<long>(std::min(i + kReplayBatch, events.size()));
    queue_.push_back(std::make_shared<const Batch>(std::vector<Delivery>(std::make_move_iterator(from), std::make_move_iterator(to))));
  }
  parked_ = false;
  seen_ = cache_.lastEvent_;
  return {};
}

Status Watcher::drain(std::vector<BatchPtr>& out, size_t limit) {
  bool again = false, fromWindow = false;
  {
    std::lock_guard lock(mutex_);
    signalled_ = false;
    for (size_t n = 0; n < limit && next_ < queue_.size(); next_++) {
      n += queue_[next_]->size();
      queued_ -= queue_[next_]->size();
      out.push_back(std::move(queue_[next_]));
    }
    if (next_ == queue_.size()) {
      queue_.clear();
      next_ = 0;
      if (queue_.capacity() > 16) queue_.shrink_to_fit();
      fromWindow = parked_;
    }
    again = next_ < queue_.size();
    if (again) signalled_ = true;
  }
  Status error;
  if (fromWindow) {
    // The cache's lock comes first, as on the committer thread, which meanwhile pushes nothing to a parked watcher.
    std::shared_lock cacheLock(cache_.mutex_);
    std::lock_guard lock(mutex_);
    error = replay();
    again = !queue_.empty() && !std::exchange(signalled_, true);
  }
  if (again) wake_();
  return error;
}

int64_t Watcher::caughtUpTo() const {
  int64_t revision = cache_.revision();
  std::shared_lock cacheLock(cache_.mutex_);
  std::lock_guard lock(mutex_);
  if (parked_ || queued_ > 0) return 0;
  return revision;
}

}  // namespace km::cache
