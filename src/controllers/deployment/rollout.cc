#include "controllers/deployment/rollout.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "codec/ops.h"

namespace km::controllers::deployment {

RsList Rollout::all() const {
  RsList out = old_;
  out.push_back(new_);
  return out;
}

Status Rollout::run() {
  if (d_.metadata.deletionTimestamp) return syncOnly(false);
  KM_TRY(checkPaused());
  if (d_.spec.paused) return syncOnly(true);
  KM_TRY(findSets(false));
  if (isScalingEvent(d_, all())) return syncOnly(true);
  if (d_.spec.strategy.type == "Recreate") return recreate();
  if (isRolling(d_)) return rolling();
  return errors::failed("unexpected deployment strategy type: " + d_.spec.strategy.type.str());
}

Status Rollout::updateOwnStatus() {
  Deployment copy = d_;
  auto r = updateStatus(client_, std::move(copy));
  if (!r.ok()) return r.status();
  // What follows in this round builds on the written version.
  d_.metadata.resourceVersion = (*r)->metadata.resourceVersion;
  return {};
}

// --- the new set --------------------------------------------------------------------------------------------

Status Rollout::findSets(bool create) {
  RsPtr existing = findNew(d_, sets_);
  old_ = oldSets(sets_, existing);
  new_ = nullptr;
  int64_t revision = maxRevision(old_) + 1;
  if (existing) return syncExisting(existing, revision);
  return create ? createNewSet(revision) : Status();
}

Status Rollout::syncExisting(const RsPtr& existing, int64_t revision) {
  ReplicaSet copy = *existing;
  bool changed = setNewSetAnnotations(d_, copy, revision, true);
  if (changed || copy.spec.minReadySeconds != d_.spec.minReadySeconds) {
    copy.spec.minReadySeconds = d_.spec.minReadySeconds;
    KM_ASSIGN(new_, updateObject(client_, std::move(copy)));
    for (RsPtr& rs : sets_) {
      if (rs->metadata.uid == new_->metadata.uid) rs = new_;
    }
    return {};
  }
  bool update = setRevision(d_, copy.metadata.annotations.get(kRevision));
  if (hasProgressDeadline(d_) && findCondition(d_.status, "Progressing") == nullptr) {
    setCondition(d_.status, makeCondition("Progressing", "True", "FoundNewReplicaSet",
                                          fmt::format("Found new replica set \"{}\"", copy.metadata.name), now_));
    update = true;
  }
  if (update) KM_TRY(updateOwnStatus());
  new_ = existing;
  return {};
}

Status Rollout::createNewSet(int64_t revision) {
  ReplicaSet wantedSet = makeNewSet(d_);
  RsList others = old_;
  wantedSet.spec.replicas = newSize(d_, others, 0);
  int32_t size = *wantedSet.spec.replicas;
  setNewSetAnnotations(d_, wantedSet, revision, false);
  std::string name = wantedSet.metadata.name.str();
  auto made = createObject(client_, wantedSet);
  bool existed = false;
  if (made.ok()) {
    new_ = *made;
  } else if (made.status().is("AlreadyExists")) {
    KM_TRY(afterCollision(wantedSet, made.status(), existed));
  } else if (hasCause(made.status(), "NamespaceTerminating")) {
    return made.status();
  } else {
    std::string message = fmt::format("Failed to create new replica set \"{}\": {}", name, made.status().message());
    if (hasProgressDeadline(d_)) {
      setCondition(d_.status, makeCondition("Progressing", "False", "ReplicaSetCreateError", message, now_));
      (void)updateOwnStatus().ok();
    }
    recorder_.event(client::referenceTo(d_), client::kEventWarning, "ReplicaSetCreateError", message);
    return made.status();
  }
  sets_.push_back(new_);
  if (!existed && size > 0) {
    recorder_.event(client::referenceTo(d_), client::kEventNormal, "ScalingReplicaSet",
                    fmt::format("Scaled up replica set {} from 0 to {}", name, size));
  }
  bool update = setRevision(d_, std::to_string(revision));
  if (!existed && hasProgressDeadline(d_)) {
    setCondition(d_.status, makeCondition("Progressing", "True", "NewReplicaSetCreated",
                                          fmt::format("Created new replica set \"{}\"", name), now_));
    update = true;
  }
  return update ? updateOwnStatus() : Status();
}

// The name is taken: by our own set, which the cache did not show yet, or by another template with the same hash.
Status Rollout::afterCollision(const ReplicaSet& wantedSet, const Status& why, bool& mine) {
  KM_ASSIGN(auto there, getObject<ReplicaSet>(client_, wantedSet.metadata.namespace_, wantedSet.metadata.name));
  if (isControlledBy(there->metadata, d_.metadata.uid) && sameTemplate(there->spec.template_, d_.spec.template_)) {
    new_ = there;
    mine = true;
    return {};
  }
  d_.status.collisionCount = d_.status.collisionCount.value_or(0) + 1;
  if (updateOwnStatus().ok()) {
    KM_VINFO(2, "Found a hash collision for deployment - bumping collisionCount to resolve it",
             {{"deployment", keyOf(d_.metadata)}, {"newCollisionCount", *d_.status.collisionCount}});
  }
  return why;
}

// --- rounds -------------------------------------------------------------------------------------------------

Status Rollout::checkPaused() {
  if (!hasProgressDeadline(d_)) return {};
  const DeploymentCondition* c = findCondition(d_.status, "Progressing");
  if (c != nullptr && c->reason == "ProgressDeadlineExceeded") return {};
  bool told = c != nullptr && c->reason == "DeploymentPaused";
  if (d_.spec.paused == told) return {};
  setCondition(d_.status, d_.spec.paused
                              ? makeCondition("Progressing", "Unknown", "DeploymentPaused", "Deployment is paused", now_)
                              : makeCondition("Progressing", "Unknown", "DeploymentResumed", "Deployment is resumed", now_));
  return updateOwnStatus();
}

Status Rollout::syncOnly(bool scaleToo) {
  KM_TRY(findSets(false));
  if (scaleToo) {
    KM_TRY(scale());
    if (d_.spec.paused) KM_TRY(cleanUp());
  }
  return writeStatus(calculateStatus(d_, all(), new_, now_));
}

Status Rollout::scale() {
  // A set that already has the size says so too: what its annotation says decides whether there is still something to scale, and while there
  // is nothing is rolled out. (Upstream forgets it, and such a deployment waits for its next change.)
  if (RsPtr one = activeOrLatest(new_, old_)) return scaleSet(one, replicasOf(d_), replicasOf(*one) == replicasOf(d_));
  if (isSaturated(d_, new_)) {
    for (RsPtr rs : active(old_)) KM_TRY(scaleSet(rs, 0, false));
    return {};
  }
  if (!isRolling(d_)) {
    for (RsPtr rs : active(all())) KM_TRY(scaleSet(rs, replicasOf(*rs), true));
    return {};
  }
  for (auto& [rs, size] : proportionalSizes(d_, active(all()))) {
    RsPtr copy = rs;
    KM_TRY(scaleSet(copy, size, true));
  }
  return {};
}

Status Rollout::rolling() {
  KM_TRY(findSets(true));
  bool scaled = false;
  if (replicasOf(*new_) != replicasOf(d_)) {
    int32_t size = replicasOf(*new_) > replicasOf(d_) ? replicasOf(d_) : newSize(d_, all(), replicasOf(*new_));
    RsPtr rs = new_;
    KM_TRY(scaleSet(rs, size, false, &scaled));
  }
  if (!scaled) KM_TRY(reconcileOld(scaled));
  if (!scaled && isComplete(d_, d_.status)) KM_TRY(cleanUp());
  return syncRolloutStatus();
}

Status Rollout::reconcileOld(bool& scaled) {
  RsList old = active(old_);
  if (wanted(old) == 0) return {};
  int32_t minAvailable = replicasOf(d_) - maxUnavailable(d_);
  int32_t missing = replicasOf(*new_) - new_->status.availableReplicas;
  int32_t most = wanted(all()) - minAvailable - missing;
  if (most <= 0) return {};
  sortByCreation(old);
  // First those of the old pods that are not available anyway.
  int32_t cleaned = 0;
  for (RsPtr& rs : old) {
    if (cleaned >= most) break;
    int32_t unhealthy = replicasOf(*rs) - rs->status.availableReplicas;
    if (replicasOf(*rs) == 0 || unhealthy == 0) continue;
    int32_t count = std::min(most - cleaned, unhealthy);
    if (count < 0) return {};
    if (!scaleSet(rs, replicasOf(*rs) - count, false).ok()) return {};
    cleaned += count;
  }
  RsList now = old;
  now.push_back(new_);
  int32_t spare = available(now) - minAvailable, removed = 0;
  for (RsPtr& rs : old) {
    if (removed >= spare) break;
    if (replicasOf(*rs) == 0) continue;
    int32_t count = std::min(replicasOf(*rs), spare - removed);
    if (!scaleSet(rs, replicasOf(*rs) - count, false).ok()) return {};
    removed += count;
  }
  scaled = cleaned + removed > 0;
  return {};
}

Status Rollout::recreate() {
  KM_TRY(findSets(false));
  bool down = false;
  for (RsPtr rs : active(old_)) {
    bool scaled = false;
    KM_TRY(scaleSet(rs, 0, false, &scaled));
    down |= scaled;
  }
  if (down || oldPodsRun()) return syncRolloutStatus();
  if (!new_) KM_TRY(findSets(true));
  RsPtr rs = new_;
  KM_TRY(scaleSet(rs, replicasOf(d_), false));
  if (isComplete(d_, d_.status)) KM_TRY(cleanUp());
  return syncRolloutStatus();
}

bool Rollout::oldPodsRun() const {
  if (actual(old_) > 0) return true;
  for (const RsPtr& rs : old_) {
    for (const PodPtr& p : pods_(*rs)) {
      if (!isPodTerminal(*p)) return true;
    }
  }
  return false;
}

// --- writes -------------------------------------------------------------------------------------------------

Status Rollout::scaleSet(RsPtr& rs, int32_t size, bool force, bool* scaled) {
  int32_t before = replicasOf(*rs);
  if (!force && before == size) return {};
  ReplicaSet copy = *rs;
  copy.spec.replicas = size;
  bool annotated = setReplicasAnnotations(copy, replicasOf(d_), replicasOf(d_) + maxSurge(d_));
  if (before == size && !annotated) return {};
  KM_ASSIGN(rs, updateObject(client_, std::move(copy)));
  if (before == size) return {};
  if (scaled != nullptr) *scaled = true;
  recorder_.event(client::referenceTo(d_), client::kEventNormal, "ScalingReplicaSet",
                  fmt::format("Scaled {} replica set {} from {} to {}", before < size ? "up" : "down", rs->metadata.name,
                              before, size));
  return {};
}

Status Rollout::cleanUp() {
  if (!d_.spec.revisionHistoryLimit || *d_.spec.revisionHistoryLimit == INT32_MAX) return {};
  RsList alive;
  for (const RsPtr& rs : old_) {
    if (!rs->metadata.deletionTimestamp) alive.push_back(rs);
  }
  int64_t surplus = static_cast<int64_t>(alive.size()) - *d_.spec.revisionHistoryLimit;
  sortByRevision(alive);
  for (int64_t i = 0; i < surplus; i++) {
    const ReplicaSet& rs = *alive[i];
    if (rs.status.replicas != 0 || replicasOf(rs) != 0 || rs.metadata.generation > rs.status.observedGeneration) continue;
    Status s = removeObject<ReplicaSet>(client_, rs.metadata.namespace_, rs.metadata.name);
    if (!s.ok() && s.code() != 404) return s;
  }
  return {};
}

Status Rollout::writeStatus(DeploymentStatus next) {
  if (codec::equal(&d_.status, &next, DeploymentStatus::kType)) return {};
  d_.status = std::move(next);
  return updateOwnStatus();
}

Status Rollout::syncRolloutStatus() {
  DeploymentStatus next = rolloutStatus(d_, all(), new_, now_);
  if (codec::equal(&d_.status, &next, DeploymentStatus::kType)) {
    again_ = progressCheckAfter(d_, next, now_);
    return {};
  }
  d_.status = std::move(next);
  KM_TRY(updateOwnStatus());
  return {};
}

}  // namespace km::controllers::deployment
