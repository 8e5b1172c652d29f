#include "controllers/deployment/core.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "base/strings.h"
#include "codec/ops.h"
#include "controllers/hash.h"
#include "controllers/int_or_string.h"

namespace km::controllers::deployment {
namespace {

constexpr size_t kMaxHistoryChars = 2000;

std::optional<int64_t> numberAt(const ObjectMeta& meta, std::string_view annotation) {
  const codec::String* s = meta.annotations.find(annotation);
  if (s == nullptr) return std::nullopt;
  return parseInt64(*s);
}

std::optional<int32_t> sizeAt(const ReplicaSet& rs, std::string_view annotation) {
  auto n = numberAt(rs.metadata, annotation);
  if (!n || *n < 0 || *n > INT32_MAX) return std::nullopt;
  return static_cast<int32_t>(*n);
}

auto creationOrder(const RsPtr& rs) {
  const auto& m = rs->metadata;
  return std::tuple(m.creationTimestamp.seconds, m.name.view());
}

template <typename F>
int32_t sum(const RsList& sets, F value) {
  int32_t n = 0;
  for (const RsPtr& rs : sets) {
    if (rs) n += value(*rs);
  }
  return n;
}

// {surge, unavailable}
std::pair<int32_t, int32_t> fenceposts(const Deployment& d) {
  int32_t replicas = replicasOf(d), surge = 0, unavailable = 0;
  if (const auto* r = d.spec.strategy.rollingUpdate.get()) {
    if (r->maxSurge) surge = scaledValue(*r->maxSurge, replicas, true).value_or(0);
    if (r->maxUnavailable) unavailable = scaledValue(*r->maxUnavailable, replicas, false).value_or(0);
  }
  // Both can be zero by rounding down; surge might fail for lack of quota, so one pod may be missing.
  if (surge == 0 && unavailable == 0) unavailable = 1;
  return {surge, unavailable};
}

bool isCopied(std::string_view annotation) {
  return annotation != "kubectl.kubernetes.io/last-applied-configuration" && annotation != kRevision &&
         annotation != kRevisionHistory && annotation != kDesiredReplicas && annotation != kMaxReplicas &&
         annotation != "deprecated.deployment.rollback.to";
}

// What a set of that size grows or shrinks by when the deployment does.
int32_t fraction(const Deployment& d, const ReplicaSet& rs) {
  if (replicasOf(d) == 0) return -replicasOf(rs);
  int32_t before = sizeAt(rs, kMaxReplicas).value_or(0);
  if (before == 0) before = d.status.replicas;
  if (before == 0) return 0;
  double scaled = static_cast<double>(replicasOf(rs)) * (replicasOf(d) + maxSurge(d)) / before;
  return static_cast<int32_t>(std::lround(scaled)) - replicasOf(rs);
}

bool sameUid(const RsPtr& a, const RsPtr& b) { return a && b && a->metadata.uid == b->metadata.uid; }

}  // namespace

int32_t replicasOf(const Deployment& d) { return d.spec.replicas.value_or(1); }
int32_t replicasOf(const ReplicaSet& rs) { return rs.spec.replicas.value_or(1); }
bool isRolling(const Deployment& d) { return d.spec.strategy.type == "RollingUpdate"; }
int32_t maxSurge(const Deployment& d) { return isRolling(d) ? fenceposts(d).first : 0; }

int32_t maxUnavailable(const Deployment& d) {
  if (!isRolling(d) || replicasOf(d) == 0) return 0;
  return std::min(fenceposts(d).second, replicasOf(d));
}

bool hasProgressDeadline(const Deployment& d) {
  return d.spec.progressDeadlineSeconds && *d.spec.progressDeadlineSeconds != INT32_MAX;
}

bool sameTemplate(const api::core_v1::PodTemplateSpec& a, const api::core_v1::PodTemplateSpec& b) {
  if (!codec::equal(&a.spec, &b.spec, api::core_v1::PodSpec::kType)) return false;
  ObjectMeta x = a.metadata, y = b.metadata;
  x.labels.erase(kHashLabel);
  y.labels.erase(kHashLabel);
  return codec::equal(&x, &y, ObjectMeta::kType);
}

void sortByCreation(RsList& sets) {
  std::sort(sets.begin(), sets.end(), [](const RsPtr& a, const RsPtr& b) { return creationOrder(a) < creationOrder(b); });
}

void sortByRevision(RsList& sets) {
  auto key = [](const RsPtr& rs) {
    return std::tuple_cat(std::tuple(numberAt(rs->metadata, kRevision).value_or(0)), creationOrder(rs));
  };
  std::sort(sets.begin(), sets.end(), [&](const RsPtr& a, const RsPtr& b) { return key(a) < key(b); });
}

RsPtr findNew(const Deployment& d, RsList sets) {
  sortByCreation(sets);
  for (const RsPtr& rs : sets) {
    if (sameTemplate(rs->spec.template_, d.spec.template_)) return rs;
  }
  return nullptr;
}

RsList oldSets(const RsList& sets, const RsPtr& newSet) {
  RsList out;
  for (const RsPtr& rs : sets) {
    if (!sameUid(rs, newSet)) out.push_back(rs);
  }
  return out;
}

RsList active(const RsList& sets) {
  RsList out;
  for (const RsPtr& rs : sets) {
    if (rs && replicasOf(*rs) > 0) out.push_back(rs);
  }
  return out;
}

int64_t maxRevision(const RsList& sets) {
  int64_t max = 0;
  for (const RsPtr& rs : sets) max = std::max(max, numberAt(rs->metadata, kRevision).value_or(0));
  return max;
}

RsPtr activeOrLatest(const RsPtr& newSet, RsList old) {
  if (!newSet && old.empty()) return nullptr;
  sortByCreation(old);
  std::reverse(old.begin(), old.end());
  RsList all = old;
  all.push_back(newSet);
  RsList live = active(all);
  if (live.empty()) return newSet ? newSet : old.front();
  return live.size() == 1 ? live.front() : nullptr;
}

int32_t wanted(const RsList& sets) {
  return sum(sets, [](const ReplicaSet& rs) { return replicasOf(rs); });
}
int32_t actual(const RsList& sets) {
  return sum(sets, [](const ReplicaSet& rs) { return rs.status.replicas; });
}
int32_t ready(const RsList& sets) {
  return sum(sets, [](const ReplicaSet& rs) { return rs.status.readyReplicas; });
}
int32_t available(const RsList& sets) {
  return sum(sets, [](const ReplicaSet& rs) { return rs.status.availableReplicas; });
}

int32_t newSize(const Deployment& d, const RsList& all, int32_t size) {
  if (!isRolling(d)) return replicasOf(d);
  int32_t surge = 0;
  if (const auto* r = d.spec.strategy.rollingUpdate.get(); r != nullptr && r->maxSurge) {
    surge = scaledValue(*r->maxSurge, replicasOf(d), true).value_or(0);
  }
  int32_t now = wanted(all), most = replicasOf(d) + surge;
  if (now >= most) return size;
  return size + std::min(most - now, replicasOf(d) - size);
}

bool isSaturated(const Deployment& d, const RsPtr& newSet) {
  if (!newSet) return false;
  auto desired = numberAt(newSet->metadata, kDesiredReplicas);
  return desired && replicasOf(*newSet) == replicasOf(d) && *desired == replicasOf(d) &&
         newSet->status.availableReplicas == replicasOf(d);
}

std::vector<std::pair<RsPtr, int32_t>> proportionalSizes(const Deployment& d, RsList sets) {
  int32_t allowed = replicasOf(d) > 0 ? replicasOf(d) + maxSurge(d) : 0;
  int32_t toAdd = allowed - wanted(sets), added = 0;
  // The largest first; of equal ones the newer first when growing, the older first when shrinking.
  std::sort(sets.begin(), sets.end(), [&](const RsPtr& a, const RsPtr& b) {
    if (replicasOf(*a) != replicasOf(*b)) return replicasOf(*a) > replicasOf(*b);
    return toAdd > 0 ? creationOrder(b) < creationOrder(a) : creationOrder(a) < creationOrder(b);
  });
  std::vector<std::pair<RsPtr, int32_t>> out;
  for (const RsPtr& rs : sets) {
    int32_t size = replicasOf(*rs), change = 0;
    if (toAdd != 0 && size != 0 && toAdd != added) {
      change = toAdd > 0 ? std::min(fraction(d, *rs), toAdd - added) : std::max(fraction(d, *rs), toAdd - added);
    }
    added += change;
    out.emplace_back(rs, size + change);
  }
  if (!out.empty() && toAdd != 0) out[0].second = std::max(0, out[0].second + toAdd - added);
  return out;
}

bool isScalingEvent(const Deployment& d, const RsList& all) {
  for (const RsPtr& rs : active(all)) {
    auto desired = sizeAt(*rs, kDesiredReplicas);
    if (desired && *desired != replicasOf(d)) return true;
  }
  return false;
}

bool setReplicasAnnotations(ReplicaSet& rs, int32_t desired, int32_t max) {
  bool changed = false;
  auto set = [&](std::string_view name, int32_t n) {
    std::string text = std::to_string(n);
    codec::String& slot = rs.metadata.annotations[name];
    changed |= slot != text;
    slot = text;
  };
  set(kDesiredReplicas, desired);
  set(kMaxReplicas, max);
  return changed;
}

bool setNewSetAnnotations(const Deployment& d, ReplicaSet& rs, int64_t newRevision, bool exists) {
  bool changed = false;
  auto& annotations = rs.metadata.annotations;
  for (const auto& [key, value] : d.metadata.annotations) {
    const codec::String* had = annotations.find(key);
    if (!isCopied(key) || (had != nullptr && *had == value)) continue;
    annotations[key] = value;
    changed = true;
  }
  const codec::String* had = annotations.find(kRevision);
  std::string old = had ? had->str() : "";
  auto oldNumber = old.empty() ? std::optional<int64_t>(0) : parseInt64(old);
  if (!oldNumber) return false;
  if (*oldNumber < newRevision) {
    annotations[kRevision] = std::to_string(newRevision);
    changed = true;
    if (had != nullptr) {  // rolled back to: the former numbers are kept
      std::string history = annotations.get(kRevisionHistory).str();
      while (!history.empty() && history.size() + old.size() + 1 > kMaxHistoryChars) {
        size_t comma = history.find(',');
        history = comma == std::string::npos ? "" : history.substr(comma + 1);
      }
      annotations[kRevisionHistory] = history.empty() ? old : history + "," + old;
    }
  }
  if (!exists && setReplicasAnnotations(rs, replicasOf(d), replicasOf(d) + maxSurge(d))) changed = true;
  return changed;
}

bool setRevision(Deployment& d, std::string_view revision) {
  codec::String& slot = d.metadata.annotations[kRevision];
  if (slot == revision) return false;
  slot = revision;
  return true;
}

ReplicaSet makeNewSet(const Deployment& d) {
  std::string hash = nameHash(&d.spec.template_, api::core_v1::PodTemplateSpec::kType, d.status.collisionCount);
  ReplicaSet rs;
  std::string name = d.metadata.name.str();
  name.resize(std::min(name.size(), 253 - 1 - hash.size()));
  rs.metadata.name = name + "-" + hash;
  rs.metadata.namespace_ = d.metadata.namespace_;
  rs.metadata.ownerReferences.push_back(makeControllerRef(Deployment::kType, d.metadata));
  rs.spec.minReadySeconds = d.spec.minReadySeconds;
  rs.spec.template_ = d.spec.template_;
  rs.spec.template_.metadata.labels[kHashLabel] = hash;
  rs.metadata.labels = rs.spec.template_.metadata.labels;
  if (d.spec.selector) rs.spec.selector = *d.spec.selector;
  rs.spec.selector.ensure().matchLabels[kHashLabel] = hash;
  rs.spec.replicas = 0;
  return rs;
}

}  // namespace km::controllers::deployment
