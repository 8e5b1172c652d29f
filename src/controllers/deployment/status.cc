// Conditions and status of a Deployment.
#include "controllers/deployment/core.h"

namespace km::controllers::deployment {
namespace {

constexpr std::string_view kProgressing = "Progressing";
constexpr std::string_view kAvailable = "Available";
constexpr std::string_view kReplicaFailure = "ReplicaFailure";

// The first failure that a set tells, the new one's before others'.
std::optional<DeploymentCondition> failureOf(const RsList& all, const RsPtr& newSet) {
  auto look = [](const RsPtr& rs) -> std::optional<DeploymentCondition> {
    if (!rs) return std::nullopt;
    for (const auto& c : rs->status.conditions) {
      if (c.type != kReplicaFailure) continue;
      DeploymentCondition out;
      out.type = c.type;
      out.status = c.status;
      out.lastTransitionTime = out.lastUpdateTime = c.lastTransitionTime;
      out.reason = c.reason;
      out.message = c.message;
      return out;
    }
    return std::nullopt;
  };
  if (auto c = look(newSet)) return c;
  for (const RsPtr& rs : all) {
    if (auto c = look(rs)) return c;
  }
  return std::nullopt;
}

std::optional<int32_t> terminating(const RsList& all) {
  int32_t n = 0;
  for (const RsPtr& rs : all) {
    if (!rs || (rs->status.observedGeneration == 0 && !rs->status.terminatingReplicas)) continue;
    if (!rs->status.terminatingReplicas) return std::nullopt;
    n += *rs->status.terminatingReplicas;
  }
  return n;
}

}  // namespace

const DeploymentCondition* findCondition(const DeploymentStatus& s, std::string_view type) {
  for (const auto& c : s.conditions) {
    if (c.type == type) return &c;
  }
  return nullptr;
}

void removeCondition(DeploymentStatus& s, std::string_view type) {
  s.conditions.eraseIf([&](const DeploymentCondition& c) { return c.type == type; });
}

void setCondition(DeploymentStatus& s, DeploymentCondition c) {
  const DeploymentCondition* now = findCondition(s, c.type);
  if (now != nullptr && now->status == c.status) {
    if (now->reason == c.reason) return;
    c.lastTransitionTime = now->lastTransitionTime;
  }
  removeCondition(s, c.type.str());
  s.conditions.push_back(std::move(c));
}

DeploymentCondition makeCondition(std::string_view type, std::string_view status, std::string_view reason,
                                  std::string_view message, WallTime now) {
  DeploymentCondition c;
  c.type = type;
  c.status = status;
  c.lastUpdateTime = c.lastTransitionTime = codec::Time(now);
  c.reason = reason;
  c.message = message;
  return c;
}

DeploymentStatus calculateStatus(const Deployment& d, const RsList& all, const RsPtr& newSet, WallTime now) {
  DeploymentStatus s;
  s.observedGeneration = d.metadata.generation;
  s.replicas = actual(all);
  s.updatedReplicas = actual({newSet});
  s.readyReplicas = ready(all);
  s.availableReplicas = available(all);
  s.unavailableReplicas = std::max(0, wanted(all) - s.availableReplicas);
  s.terminatingReplicas = terminating(all);
  s.collisionCount = d.status.collisionCount;
  s.conditions = d.status.conditions;
  bool enough = s.availableReplicas >= replicasOf(d) - maxUnavailable(d);
  setCondition(s, enough ? makeCondition(kAvailable, "True", "MinimumReplicasAvailable",
                                         "Deployment has minimum availability.", now)
                         : makeCondition(kAvailable, "False", "MinimumReplicasUnavailable",
                                         "Deployment does not have minimum availability.", now));
  return s;
}

bool isComplete(const Deployment& d, const DeploymentStatus& s) {
  return s.updatedReplicas == replicasOf(d) && s.replicas == replicasOf(d) && s.availableReplicas == replicasOf(d) &&
         s.observedGeneration >= d.metadata.generation;
}

bool isProgressing(const Deployment& d, const DeploymentStatus& s) {
  const DeploymentStatus& old = d.status;
  return s.updatedReplicas > old.updatedReplicas ||
         s.replicas - s.updatedReplicas < old.replicas - old.updatedReplicas || s.readyReplicas > old.readyReplicas ||
         s.availableReplicas > old.availableReplicas;
}

bool isTimedOut(const Deployment& d, const DeploymentStatus& s, WallTime now) {
  const DeploymentCondition* c = findCondition(s, kProgressing);
  if (!hasProgressDeadline(d) || c == nullptr || c->reason == "NewReplicaSetAvailable") return false;
  if (c->reason == "ProgressDeadlineExceeded") return true;
  return WallTime{c->lastUpdateTime.seconds + *d.spec.progressDeadlineSeconds, 0} < now;
}

DeploymentStatus rolloutStatus(const Deployment& d, const RsList& all, const RsPtr& newSet, WallTime now) {
  DeploymentStatus s = calculateStatus(d, all, newSet, now);
  if (!hasProgressDeadline(d)) removeCondition(s, kProgressing);
  const DeploymentCondition* current = findCondition(d.status, kProgressing);
  bool done = s.replicas == s.updatedReplicas && current != nullptr && current->reason == "NewReplicaSetAvailable";
  std::string who = newSet ? "ReplicaSet \"" + newSet->metadata.name.str() : "Deployment \"" + d.metadata.name.str();
  if (hasProgressDeadline(d) && !done) {
    if (isComplete(d, s)) {
      setCondition(s, makeCondition(kProgressing, "True", "NewReplicaSetAvailable", who + "\" has successfully progressed.", now));
    } else if (isProgressing(d, s)) {
      // Updated even if the reason stays: its update time is what the deadline counts from.
      auto c = makeCondition(kProgressing, "True", "ReplicaSetUpdated", who + "\" is progressing.", now);
      if (current != nullptr) {
        if (current->status == "True") c.lastTransitionTime = current->lastTransitionTime;
        removeCondition(s, kProgressing);
      }
      setCondition(s, std::move(c));
    } else if (isTimedOut(d, s, now)) {
      setCondition(s, makeCondition(kProgressing, "False", "ProgressDeadlineExceeded", who + "\" has timed out progressing.", now));
    }
  }
  if (auto failure = failureOf(all, newSet)) {
    setCondition(s, std::move(*failure));
  } else {
    removeCondition(s, kReplicaFailure);
  }
  return s;
}

std::optional<Duration> progressCheckAfter(const Deployment& d, const DeploymentStatus& s, WallTime now) {
  const DeploymentCondition* c = findCondition(d.status, kProgressing);
  if (!hasProgressDeadline(d) || c == nullptr || isComplete(d, s) || c->reason == "ProgressDeadlineExceeded") {
    return std::nullopt;
  }
  Duration left = std::chrono::seconds(c->lastUpdateTime.seconds + *d.spec.progressDeadlineSeconds - now.seconds) -
                  std::chrono::nanoseconds(now.nanos);
  return std::max(left, Duration(0));
}

}  // namespace km::controllers::deployment
