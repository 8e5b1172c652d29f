#include "controllers/replicaset/core.h"

#include <algorithm>
#include <bit>
#include <map>

#include "base/strings.h"
#include "codec/ops.h"

namespace km::controllers::replicaset {
namespace {

using api::apps_v1::ReplicaSetCondition;

constexpr std::string_view kReplicaFailure = "ReplicaFailure";

const ReplicaSetCondition* findCondition(const ReplicaSetStatus& status, std::string_view type) {
  for (const auto& c : status.conditions) {
    if (c.type == type) return &c;
  }
  return nullptr;
}

// As labels of a template, every pair must be there.
bool hasAll(const codec::Map<codec::String>& labels, const codec::Map<codec::String>& wanted) {
  for (const auto& [key, value] : wanted) {
    const codec::String* v = labels.find(key);
    if (v == nullptr || *v != value) return false;
  }
  return true;
}

int phaseOrder(const Pod& pod) {
  return pod.status.phase == "Pending" ? 0 : pod.status.phase == "Unknown" ? 1 : pod.status.phase == "Running" ? 2 : 0;
}

int64_t deletionCost(const Pod& pod) {
  const codec::String* s = pod.metadata.annotations.find("controller.kubernetes.io/pod-deletion-cost");
  if (s == nullptr) return 0;
  auto n = parseInt64(*s);
  return n && *n >= INT32_MIN && *n <= INT32_MAX && s->view().front() != '+' ? *n : 0;
}

codec::Time readyTime(const Pod& pod) {
  const auto* c = findPodCondition(pod, "Ready");
  return c != nullptr && c->status == "True" ? c->lastTransitionTime : codec::Time();
}

struct Restarts {
  int32_t regular = 0, sidecar = 0;
};

Restarts maxRestarts(const Pod& pod) {
  Restarts r;
  for (const auto& s : pod.status.containerStatuses) r.regular = std::max(r.regular, s.restartCount);
  for (const auto& s : pod.status.initContainerStatuses) {
    for (const auto& c : pod.spec.initContainers) {
      if (c.name == s.name && c.restartPolicy && *c.restartPolicy == "Always") {
        r.sidecar = std::max(r.sidecar, s.restartCount);
      }
    }
  }
  return r;
}

// The order of two times by the logarithm of their age: 0 means that they are about as old.
int64_t logDifference(codec::Time a, codec::Time b, WallTime now) {
  auto rank = [&](codec::Time t) -> int64_t {
    int64_t nanos = (now.seconds - t.seconds) * 1'000'000'000 + now.nanos;
    return nanos <= 0 ? -1 : std::bit_width(static_cast<uint64_t>(nanos)) - 1;
  };
  return rank(a) - rank(b);
}

// Whether the one with time `a` goes before the one with time `b`; the younger goes first.
bool youngerFirst(const Pod& p, const Pod& q, codec::Time a, codec::Time b, WallTime now) {
  if (a.isZero() || b.isZero()) return a.isZero();
  int64_t d = logDifference(a, b, now);
  return d == 0 ? p.metadata.uid < q.metadata.uid : d < 0;
}

struct Ranked {
  PodPtr pod;
  int rank;
};

bool goesFirst(const Ranked& a, const Ranked& b, WallTime now) {
  const Pod &p = *a.pod, &q = *b.pod;
  if (p.spec.nodeName.empty() != q.spec.nodeName.empty()) return p.spec.nodeName.empty();
  if (phaseOrder(p) != phaseOrder(q)) return phaseOrder(p) < phaseOrder(q);
  bool readyP = isPodReady(p), readyQ = isPodReady(q);
  if (readyP != readyQ) return !readyP;
  if (deletionCost(p) != deletionCost(q)) return deletionCost(p) < deletionCost(q);
  if (a.rank != b.rank) return a.rank > b.rank;
  if (readyP && readyQ && readyTime(p) != readyTime(q)) return youngerFirst(p, q, readyTime(p), readyTime(q), now);
  Restarts r = maxRestarts(p), s = maxRestarts(q);
  if (r.regular != s.regular) return r.regular > s.regular;
  if (r.sidecar != s.sidecar) return r.sidecar > s.sidecar;
  const auto &made = p.metadata.creationTimestamp, &other = q.metadata.creationTimestamp;
  if (made != other) return youngerFirst(p, q, made, other, now);
  return false;
}

}  // namespace

ReplicaSetStatus calculateStatus(const ReplicaSet& rs, const std::vector<PodPtr>& active, int terminating,
                                 const Status& error, WallTime now) {
  ReplicaSetStatus next = rs.status;
  next.replicas = static_cast<int32_t>(active.size());
  next.fullyLabeledReplicas = next.readyReplicas = next.availableReplicas = 0;
  for (const PodPtr& pod : active) {
    if (hasAll(pod->metadata.labels, rs.spec.template_.metadata.labels)) next.fullyLabeledReplicas++;
    if (!isPodReady(*pod)) continue;
    next.readyReplicas++;
    if (isPodAvailable(*pod, rs.spec.minReadySeconds, now)) next.availableReplicas++;
  }
  next.terminatingReplicas = terminating;

  const ReplicaSetCondition* failure = findCondition(rs.status, kReplicaFailure);
  if (!error.ok() && failure == nullptr) {
    auto& c = next.conditions.add();
    c.type = kReplicaFailure;
    c.status = "True";
    c.lastTransitionTime = codec::Time(now);
    int64_t diff = static_cast<int64_t>(active.size()) - rs.spec.replicas.value_or(1);
    c.reason = diff < 0 ? "FailedCreate" : diff > 0 ? "FailedDelete" : "";
    c.message = error.message();
  } else if (error.ok() && failure != nullptr) {
    next.conditions.eraseIf([](const auto& c) { return c.type == kReplicaFailure; });
  }
  return next;
}

bool statusDiffers(const ReplicaSet& rs, const ReplicaSetStatus& next) {
  ReplicaSetStatus now = rs.status;
  now.observedGeneration = next.observedGeneration;
  return rs.status.observedGeneration != rs.metadata.generation ||
         !codec::equal(&now, &next, ReplicaSetStatus::kType);
}

std::vector<PodPtr> podsToDelete(std::vector<PodPtr> pods, const std::vector<PodPtr>& related, int count, WallTime now) {
  auto n = static_cast<size_t>(count);
  if (n < pods.size()) {
    std::map<std::string_view, int> onNode;
    for (const PodPtr& p : related) {
      if (isPodActive(*p)) onNode[p->spec.nodeName]++;
    }
    std::vector<Ranked> ranked;
    for (PodPtr& p : pods) {
      int rank = onNode[p->spec.nodeName];
      ranked.push_back({std::move(p), rank});
    }
    std::stable_sort(ranked.begin(), ranked.end(),
                     [&](const Ranked& a, const Ranked& b) { return goesFirst(a, b, now); });
    for (size_t i = 0; i < pods.size(); i++) pods[i] = std::move(ranked[i].pod);
    pods.resize(n);
  }
  return pods;
}

std::optional<Duration> nextAvailability(const std::vector<PodPtr>& pods, int32_t minReadySeconds, WallTime now) {
  std::optional<Duration> next;
  for (const PodPtr& p : pods) {
    codec::Time ready = readyTime(*p);
    if (ready.isZero()) continue;
    Duration left = std::chrono::seconds(ready.seconds + minReadySeconds - now.seconds) - std::chrono::nanoseconds(now.nanos);
    if (left > Duration(0) && (!next || left < *next)) next = left;
  }
  return next;
}

}  // namespace km::controllers::replicaset
