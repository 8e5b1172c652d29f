#include "scheduler/queue.h"

#include <algorithm>
#include <utility>

namespace km::scheduler {
namespace {

// Upstream's name of an event: its resource and what happened.
std::string_view labelOf(uint32_t kinds) {
  static constexpr std::pair<uint32_t, std::string_view> kLabels[] = {
      {kNodeAdd, "NodeAdd"},
      {kNodeDelete, "NodeDelete"},
      {kNodeAllocatable, "NodeUpdateNodeAllocatable"},
      {kNodeLabel, "NodeUpdateNodeLabel"},
      {kNodeTaint, "NodeUpdateNodeTaint"},
      {kAssignedPodAdd, "AssignedPodAdd"},
      {kAssignedPodLabel, "AssignedPodUpdatePodLabel"},
      {kAssignedPodScaleDown, "AssignedPodUpdatePodScaleDown"},
      {kAssignedPodDelete, "AssignedPodDelete"},
      {kSelfLabel, "UnschedulablePodUpdatePodLabel"},
      {kSelfToleration, "UnschedulablePodUpdatePodToleration"},
      {kSelfScaleDown, "UnschedulablePodUpdatePodScaleDown"},
      {kSelfGates, "UnschedulablePodUpdatePodSchedulingGatesEliminated"},
      {kSelfClaims, "UnschedulablePodUpdatePodGeneratedResourceClaim"},
      {kVolumeAdd, "PersistentVolumeAdd"},
      {kVolumeUpdate, "PersistentVolumeUpdate"},
      {kClaimAdd, "PersistentVolumeClaimAdd"},
      {kClaimUpdate, "PersistentVolumeClaimUpdate"},
      {kClaimDelete, "PersistentVolumeClaimDelete"},
      {kStorageClassAdd, "storage.k8s.io/StorageClassAdd"},
      {kStorageClassUpdate, "storage.k8s.io/StorageClassUpdate"},
      {kCsiNode, "storage.k8s.io/CSINodeUpdate"},
      {kCsiDriver, "storage.k8s.io/CSIDriverUpdate"},
      {kCsiCapacity, "storage.k8s.io/CSIStorageCapacityUpdate"},
      {kVolumeAttachmentDelete, "storage.k8s.io/VolumeAttachmentDelete"},
      {kResourceClaim, "ResourceClaimUpdate"}};
  for (const auto& [bit, label] : kLabels) {
    if ((kinds & bit) != 0) return label;
  }
  return "";
}

}  // namespace

bool Queue::First::operator()(const Entry* a, const Entry* b) const {
  int32_t pa = a->q.pod->spec.priority.value_or(0), pb = b->q.pod->spec.priority.value_or(0);
  if (pa != pb) return pa > pb;
  if (a->q.queuedAt != b->q.queuedAt) return a->q.queuedAt < b->q.queuedAt;
  return a->order < b->order;
}

Duration Queue::backoffOf(const QueuedPod& q) const {
  int count = q.errors > 0 ? q.errors : q.failures;
  if (count == 0) return Duration::zero();
  Duration d = backoffTimes_.initial;
  for (int i = 1; i < count && d < backoffTimes_.max; i++) d *= 2;
  return std::min(d, backoffTimes_.max);
}

void Queue::leave(Entry& e) {
  switch (e.place) {
    case Place::kActive:
      active_.erase(&e);
      break;
    case Place::kBackoff:
      backoff_.erase(&e);
      break;
    case Place::kErrorBackoff:
      errorBackoff_.erase(&e);
      break;
    case Place::kUnschedulable: {
      auto it = waiting_.find(e.q.wakes);
      it->second.erase(&e);
      if (it->second.empty()) waiting_.erase(it);
      byAge_.erase(&e);
      unschedulable_--;
      break;
    }
    case Place::kGated:
      gated_.erase(&e);
      break;
    case Place::kInFlight:
      if (--inFlight_ == 0) during_.clear();
      break;
  }
}

void Queue::toActive(Entry& e, std::string_view event) {
  e.place = Place::kActive;
  e.order = ++order_;
  active_.insert(&e);
  tell("active", event);
}

void Queue::toActiveOrBackoff(Entry& e, Duration now, std::string_view event) {
  e.until = e.q.queuedAt + backoffOf(e.q);
  if (e.until <= now) return toActive(e, event);
  e.order = ++order_;
  e.place = e.q.errors > 0 ? Place::kErrorBackoff : Place::kBackoff;
  (e.q.errors > 0 ? errorBackoff_ : backoff_).insert(&e);
  tell("backoff", event);
}

void Queue::toUnschedulable(Entry& e, Duration now) {
  e.place = Place::kUnschedulable;
  e.until = now + kMaxUnschedulable;
  e.order = ++order_;
  waiting_[e.q.wakes].insert(&e);
  byAge_.insert(&e);
  unschedulable_++;
}

void Queue::set(PodPtr pod, Duration now, std::string gate, const ClusterEvent& change) {
  std::string uid = pod->metadata.uid.str();
  auto& entry = entries_[uid];
  bool isNew = !entry;
  if (isNew) {
    entry = std::make_unique<Entry>();
    entry->uid = uid;
    entry->q.since = entry->q.queuedAt = now;
    inFlight_++;
  }
  Entry& e = *entry;
  if (!isNew && e.place == Place::kInFlight) {
    e.q.pod = std::move(pod);
    if (change.kinds != 0) during_.push_back(change);
    return;
  }
  Place place = e.place;
  leave(e);
  e.q.pod = std::move(pod);
  e.q.gate = std::move(gate);
  if (!e.q.gate.empty()) {
    e.place = Place::kGated;
    gated_.insert(&e);
    return;
  }
  if (place == Place::kUnschedulable && !worth(e, change)) {
    // Back to where it was, with its age.
    Duration until = e.until;
    toUnschedulable(e, until - kMaxUnschedulable);
    return;
  }
  if (place == Place::kActive) return toActive(e, "");
  if (place == Place::kGated && e.q.attempts == 0) e.q.queuedAt = now;
  bool moves = place == Place::kUnschedulable || place == Place::kGated;
  toActiveOrBackoff(e, now, isNew ? "UnschedulablePodAdd" : moves ? labelOf(change.kinds) : "");
}

void Queue::remove(const std::string& uid) {
  auto it = entries_.find(uid);
  if (it == entries_.end()) return;
  leave(*it->second);
  entries_.erase(it);
}

const QueuedPod* Queue::find(const std::string& uid) const {
  auto it = entries_.find(uid);
  return it == entries_.end() ? nullptr : &it->second->q;
}

std::optional<QueuedPod> Queue::pop(Duration now) {
  while (!byAge_.empty() && (*byAge_.begin())->until <= now) {
    Entry& e = **byAge_.begin();
    leave(e);
    toActiveOrBackoff(e, now, "UnschedulableTimeout");
  }
  for (Timed* waiting : {&backoff_, &errorBackoff_}) {
    while (!waiting->empty() && (*waiting->begin())->until <= now) {
      Entry& e = **waiting->begin();
      leave(e);
      toActive(e, "BackoffComplete");
    }
  }
  Entry* next = !active_.empty() ? *active_.begin() : !backoff_.empty() ? *backoff_.begin() : nullptr;
  if (next == nullptr) return std::nullopt;
  leave(*next);
  next->place = Place::kInFlight;
  next->missedFrom = during_.size();
  inFlight_++;
  next->q.attempts++;
  return next->q;
}

void Queue::reenter(const QueuedPod& q) {
  std::string uid = q.pod->metadata.uid.str();
  auto& entry = entries_[uid];
  if (entry) leave(*entry);
  if (!entry) entry = std::make_unique<Entry>();
  entry->uid = uid;
  entry->q = q;
  entry->place = Place::kInFlight;
  entry->missedFrom = during_.size();
  inFlight_++;
}

void Queue::failed(QueuedPod q, Duration now) {
  auto it = entries_.find(q.pod->metadata.uid.str());
  if (it == entries_.end() || it->second->place != Place::kInFlight) return;
  Entry& e = *it->second;
  PodPtr latest = e.q.pod;
  e.q = std::move(q);
  e.q.pod = std::move(latest);
  e.q.queuedAt = now;
  // What happened during the attempt was not seen by it.
  bool again = e.q.rejectors == 0;
  for (size_t i = e.missedFrom; i < during_.size() && !again; i++) again = worth(e, during_[i]);
  leave(e);
  if (again) return toActiveOrBackoff(e, now, "ScheduleAttemptFailure");
  toUnschedulable(e, now);
  tell("unschedulable", "ScheduleAttemptFailure");
}

void Queue::changed(const ClusterEvent& event, Duration now) {
  if (inFlight_ > 0) during_.push_back(event);
  std::vector<Entry*> due;
  for (const auto& [wakes, entries] : waiting_) {
    if ((wakes & event.kinds) == 0) continue;
    for (Entry* e : entries) {
      if (helps_(e->q, event)) due.push_back(e);
    }
  }
  for (Entry* e : due) {
    leave(*e);
    toActiveOrBackoff(*e, now, labelOf(event.kinds));
  }
}

void Queue::recheckGates(const std::function<std::string(const api::core_v1::Pod&)>& gateOf, Duration now) {
  std::vector<Entry*> gated(gated_.begin(), gated_.end());
  for (Entry* e : gated) {
    e->q.gate = gateOf(*e->q.pod);
    if (!e->q.gate.empty()) continue;
    leave(*e);
    toActiveOrBackoff(*e, now, "ForceActivate");
  }
}

void Queue::activate(const std::string& uid, Duration now) {
  auto it = entries_.find(uid);
  if (it == entries_.end() || it->second->place == Place::kInFlight || it->second->place == Place::kGated)
    return;
  leave(*it->second);
  toActive(*it->second, "ForceActivate");
}

std::optional<Duration> Queue::nextTime() const {
  std::optional<Duration> t;
  for (const Timed* w : {&backoff_, &errorBackoff_, &byAge_}) {
    if (w->empty()) continue;
    Duration until = (*w->begin())->until;
    if (!t || until < *t) t = until;
  }
  return t;
}

}  // namespace km::scheduler
