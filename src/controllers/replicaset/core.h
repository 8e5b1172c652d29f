// What a ReplicaSet's status is and which of its pods go first. Pure.
#pragma once

#include <optional>
#include <vector>

#include "api/types/apps_v1.h"
#include "controllers/objects.h"

namespace km::controllers::replicaset {

using api::apps_v1::ReplicaSet;
using api::apps_v1::ReplicaSetStatus;

// `error`: what creating or deleting pods ended with.
ReplicaSetStatus calculateStatus(const ReplicaSet& rs, const std::vector<PodPtr>& active, int terminating,
                                 const Status& error, WallTime now);
// Whether writing `next` would change anything.
bool statusDiffers(const ReplicaSet& rs, const ReplicaSetStatus& next);

// The `count` pods to delete: unassigned before assigned, pending before running, not ready before ready, low deletion cost
// first, crowded nodes first (by `related`, the pods of all ReplicaSets of the same owner), younger ones first
// by the logarithm of their age, more restarts first.
std::vector<PodPtr> podsToDelete(std::vector<PodPtr> pods, const std::vector<PodPtr>& related, int count, WallTime now);

// When the next ready pod becomes available.
std::optional<Duration> nextAvailability(const std::vector<PodPtr>& pods, int32_t minReadySeconds, WallTime now);

}  // namespace km::controllers::replicaset
