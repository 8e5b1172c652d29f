// The arithmetic of a Deployment's rollout: which ReplicaSet is the new one, how large each may be, what the status says.
// Pure.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/types/apps_v1.h"
#include "controllers/objects.h"

namespace km::controllers::deployment {

using api::apps_v1::Deployment;
using api::apps_v1::DeploymentCondition;
using api::apps_v1::DeploymentStatus;
using api::apps_v1::ReplicaSet;
using RsPtr = std::shared_ptr<const ReplicaSet>;
using RsList = std::vector<RsPtr>;  // may hold nulls where it says so

inline constexpr std::string_view kHashLabel = "pod-template-hash";
inline constexpr std::string_view kRevision = "deployment.kubernetes.io/revision";
inline constexpr std::string_view kRevisionHistory = "deployment.kubernetes.io/revision-history";
inline constexpr std::string_view kDesiredReplicas = "deployment.kubernetes.io/desired-replicas";
inline constexpr std::string_view kMaxReplicas = "deployment.kubernetes.io/max-replicas";

int32_t replicasOf(const Deployment& d);
int32_t replicasOf(const ReplicaSet& rs);
bool isRolling(const Deployment& d);
int32_t maxSurge(const Deployment& d);
int32_t maxUnavailable(const Deployment& d);
bool hasProgressDeadline(const Deployment& d);

// The set with the deployment's template; the oldest of several. Null if there is none.
RsPtr findNew(const Deployment& d, RsList sets);
RsList oldSets(const RsList& sets, const RsPtr& newSet);
RsList active(const RsList& sets);  // with replicas wanted; nulls are left out
void sortByCreation(RsList& sets);  // old to new, then by name
void sortByRevision(RsList& sets);
int64_t maxRevision(const RsList& sets);
// The only active set, or the newest if none is; null if several are.
RsPtr activeOrLatest(const RsPtr& newSet, RsList old);

int32_t wanted(const RsList& sets);     // sum of spec.replicas; nulls count nothing, here and below
int32_t actual(const RsList& sets);     // of status.replicas
int32_t ready(const RsList& sets);
int32_t available(const RsList& sets);

// How large the new set may be, of size `newSize` now.
int32_t newSize(const Deployment& d, const RsList& all, int32_t newSize);
bool isSaturated(const Deployment& d, const RsPtr& newSet);
// Sizes of several active sets after the deployment was scaled, by name, in the order in which to write them.
std::vector<std::pair<RsPtr, int32_t>> proportionalSizes(const Deployment& d, RsList activeSets);
// Whether some active set was written for another number of replicas.
bool isScalingEvent(const Deployment& d, const RsList& all);

// Annotations. Each says whether something changed.
bool setNewSetAnnotations(const Deployment& d, ReplicaSet& rs, int64_t newRevision, bool exists);
bool setReplicasAnnotations(ReplicaSet& rs, int32_t desired, int32_t max);
bool setRevision(Deployment& d, std::string_view revision);

const DeploymentCondition* findCondition(const DeploymentStatus& s, std::string_view type);
// Unless one with the same status and reason is there; keeps the transition time where the status stays.
void setCondition(DeploymentStatus& s, DeploymentCondition c);
void removeCondition(DeploymentStatus& s, std::string_view type);
DeploymentCondition makeCondition(std::string_view type, std::string_view status, std::string_view reason,
                                  std::string_view message, WallTime now);

DeploymentStatus calculateStatus(const Deployment& d, const RsList& all, const RsPtr& newSet, WallTime now);
bool isComplete(const Deployment& d, const DeploymentStatus& s);
bool isProgressing(const Deployment& d, const DeploymentStatus& s);
bool isTimedOut(const Deployment& d, const DeploymentStatus& s, WallTime now);
// The status of a rollout: calculateStatus() with the Progressing and ReplicaFailure conditions.
DeploymentStatus rolloutStatus(const Deployment& d, const RsList& all, const RsPtr& newSet, WallTime now);
// When to look whether the rollout is stuck; nullopt: never.
std::optional<Duration> progressCheckAfter(const Deployment& d, const DeploymentStatus& s, WallTime now);

// The set to create for the deployment's template, without replicas.
ReplicaSet makeNewSet(const Deployment& d);
bool sameTemplate(const api::core_v1::PodTemplateSpec& a, const api::core_v1::PodTemplateSpec& b);

}  // namespace km::controllers::deployment
