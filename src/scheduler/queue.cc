#include "scheduler/queue.h"

#include <algorithm>

namespace km::scheduler {

Duration Queue::backoffOf(const QueuedPod& q) {
  Duration d = kInitialBackoff;
  for (int i = 1; i < q.attempts && d < kMaxBackoff; i++) d *= 2;
  return std::min(d, kMaxBackoff);
}

void Queue::leave(Entry& e, const std::string& uid) {
  switch (e.place) {
    case Place::kActive: active_.erase({e.q.pod->spec.priority.value_or(0), e.order, uid}); break;
    case Place::kBackoff: backoff_.erase({e.q.failedAt + backoffOf(e.q), uid}); break;
    case Place::kUnschedulable: unschedulable_.erase({e.q.failedAt, uid}); break;
    case Place::kInFlight:
      if (--inFlight_ == 0) recent_.clear();
      break;
    case Place::kGated: break;
  }
}

void Queue::activate(Entry& e, const std::string& uid) {
  e.place = Place::kActive;
  e.order = ++order_;
  active_.insert({e.q.pod->spec.priority.value_or(0), e.order, uid});
}

void Queue::activateOrBackOff(Entry& e, const std::string& uid, Duration now) {
  Duration until = e.q.failedAt + backoffOf(e.q);
  if (e.q.attempts == 0 || until <= now) return activate(e, uid);
  e.place = Place::kBackoff;
  backoff_.insert({until, uid});
}

void Queue::set(PodPtr pod, Duration now, bool gated) {
  std::string uid = pod->metadata.uid.str();
  auto [it, isNew] = entries_.try_emplace(uid);
  Entry& e = it->second;
  if (!isNew && e.place == Place::kInFlight) {
    e.q.pod = std::move(pod);
    recent_.emplace_back(++changes_, ~0u);  // whatever refused it may think otherwise now
    return;
  }
  if (!isNew) leave(e, uid);
  if (isNew) e.q.since = now;
  e.q.pod = std::move(pod);
  if (gated) {
    e.place = Place::kGated;
  } else {
    activateOrBackOff(e, uid, now);
  }
}

void Queue::remove(const std::string& uid) {
  auto it = entries_.find(uid);
  if (it == entries_.end()) return;
  leave(it->second, uid);
  entries_.erase(it);
}

std::optional<QueuedPod> Queue::pop(Duration now) {
  auto wake = [&](auto& waiting, Duration extra) {
    while (!waiting.empty() && waiting.begin()->first + extra <= now) {
      std::string uid = waiting.begin()->second;
      waiting.erase(waiting.begin());
      activate(entries_.at(uid), uid);
    }
  };
  wake(backoff_, Duration::zero());
  wake(unschedulable_, kMaxUnschedulable);
  if (active_.empty()) return std::nullopt;
  std::string uid = active_.begin()->uid;
  active_.erase(active_.begin());
  Entry& e = entries_.at(uid);
  e.place = Place::kInFlight;
  inFlight_++;
  e.q.attempts++;
  e.q.tried = changes_;
  return e.q;
}

void Queue::failed(const std::string& uid, uint32_t wakes, Duration now) {
  auto it = entries_.find(uid);
  if (it == entries_.end() || it->second.place != Place::kInFlight) return;
  Entry& e = it->second;
  // What happened during the attempt was not seen by it.
  uint32_t missed = 0;
  for (const auto& [at, changes] : recent_) {
    if (at > e.q.tried) missed |= changes;
  }
  leave(e, uid);
  e.q.failedAt = now;
  e.q.wakes = wakes;
  if ((missed & wakes) != 0) return activateOrBackOff(e, uid, now);
  e.place = Place::kUnschedulable;
  unschedulable_.insert({e.q.failedAt, uid});
}

void Queue::changed(uint32_t changes, Duration now) {
  changes_++;
  if (inFlight_ > 0) recent_.emplace_back(changes_, changes);
  std::vector<std::string> due;
  for (const auto& [at, uid] : unschedulable_) {
    if ((entries_.at(uid).q.wakes & changes) != 0) due.push_back(uid);
  }
  for (const std::string& uid : due) {
    Entry& e = entries_.at(uid);
    leave(e, uid);
    activateOrBackOff(e, uid, now);
  }
}

std::optional<Duration> Queue::nextTime() const {
  std::optional<Duration> t;
  if (!backoff_.empty()) t = backoff_.begin()->first;
  if (!unschedulable_.empty()) {
    Duration u = unschedulable_.begin()->first + kMaxUnschedulable;
    t = t ? std::min(*t, u) : u;
  }
  return t;
}

}  // namespace km::scheduler
