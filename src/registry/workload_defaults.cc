// Defaults of workloads that depend on other fields.
#include "api/types/apps_v1.h"
#include "api/types/batch_v1.h"
#include "api/types/autoscaling_v2.h"
#include "api/types/meta_v1.h"
#include "registry/defaults.h"

namespace km::registry {
namespace {

template <typename T, void (*F)(T&)>
constexpr TypeDefault rule() {
  return {&T::kType, [](void* value) { F(*static_cast<T*>(value)); }};
}

using codec::IntOrString;

void deployment(api::apps_v1::DeploymentSpec& s) {
  if (!s.replicas) s.replicas = 1;
  if (s.strategy.type.empty()) s.strategy.type = "RollingUpdate";
  if (s.strategy.type == "RollingUpdate") {
    auto& r = s.strategy.rollingUpdate.ensure();
    if (!r.maxUnavailable) r.maxUnavailable = IntOrString("25%");
    if (!r.maxSurge) r.maxSurge = IntOrString("25%");
  }
  if (!s.revisionHistoryLimit) s.revisionHistoryLimit = 10;
  if (!s.progressDeadlineSeconds) s.progressDeadlineSeconds = 600;
}

void replicaSet(api::apps_v1::ReplicaSetSpec& s) {
  if (!s.replicas) s.replicas = 1;
}

void daemonSet(api::apps_v1::DaemonSetSpec& s) {
  if (s.updateStrategy.type.empty()) s.updateStrategy.type = "RollingUpdate";
  if (s.updateStrategy.type == "RollingUpdate") {
    auto& r = s.updateStrategy.rollingUpdate.ensure();
    if (!r.maxUnavailable) r.maxUnavailable = IntOrString(1);
    if (!r.maxSurge) r.maxSurge = IntOrString(0);
  }
  if (!s.revisionHistoryLimit) s.revisionHistoryLimit = 10;
}

void statefulSet(api::apps_v1::StatefulSetSpec& s) {
  if (s.podManagementPolicy.empty()) s.podManagementPolicy = "OrderedReady";
  auto& update = s.updateStrategy;
  if (update.type.empty()) {
    update.type = "RollingUpdate";
    update.rollingUpdate.ensure();
  }
  if (update.type == "RollingUpdate" && update.rollingUpdate && !update.rollingUpdate->partition) {
    update.rollingUpdate->partition = 0;
  }
  auto& keep = s.persistentVolumeClaimRetentionPolicy.ensure();
  if (keep.whenDeleted.empty()) keep.whenDeleted = "Retain";
  if (keep.whenScaled.empty()) keep.whenScaled = "Retain";
  if (!s.replicas) s.replicas = 1;
  if (!s.revisionHistoryLimit) s.revisionHistoryLimit = 10;
}

void job(api::batch_v1::JobSpec& s) {
  // One completion is wanted where nothing is said; with only the parallelism given, it is a queue of work.
  if (!s.completions && !s.parallelism) {
    s.completions = 1;
    s.parallelism = 1;
  }
  if (!s.parallelism) s.parallelism = 1;
  if (!s.backoffLimit) s.backoffLimit = s.backoffLimitPerIndex ? INT32_MAX : 6;
  if (!s.completionMode) s.completionMode = "NonIndexed";
  if (!s.suspend) s.suspend = false;
  if (!s.podReplacementPolicy) s.podReplacementPolicy = s.podFailurePolicy ? "Failed" : "TerminatingOrFailed";
  if (!s.manualSelector) s.manualSelector = false;
}

void podCondition(api::batch_v1::PodFailurePolicyOnPodConditionsPattern& c) {
  if (c.status.empty()) c.status = "True";
}

// Of jobs only: the template of a CronJob stays as it is written.
void wholeJob(api::batch_v1::Job& j) {
  job(j.spec);
  const auto& labels = j.spec.template_.metadata.labels;
  if (j.metadata.labels.empty() && !labels.empty()) j.metadata.labels = labels;
}

void cronJob(api::batch_v1::CronJobSpec& s) {
  if (s.concurrencyPolicy.empty()) s.concurrencyPolicy = "Allow";
  if (!s.suspend) s.suspend = false;
  if (!s.successfulJobsHistoryLimit) s.successfulJobsHistoryLimit = 3;
  if (!s.failedJobsHistoryLimit) s.failedJobsHistoryLimit = 1;
}

void scalingRules(codec::Box<api::autoscaling_v2::HPAScalingRules>& rules, bool up) {
  auto& r = rules.ensure();
  if (up && !r.stabilizationWindowSeconds) r.stabilizationWindowSeconds = 0;
  if (!r.selectPolicy) r.selectPolicy = "Max";
  if (!r.policies.empty()) return;
  auto add = [&](std::string_view type, int32_t value) {
    auto& p = r.policies.add();
    p.type = type;
    p.value = value;
    p.periodSeconds = 15;
  };
  if (up) add("Pods", 4);
  add("Percent", 100);
}

void autoscaler(api::autoscaling_v2::HorizontalPodAutoscalerSpec& s) {
  if (!s.minReplicas) s.minReplicas = 1;
  if (s.metrics.empty()) {
    auto& m = s.metrics.add();
    m.type = "Resource";
    auto& r = m.resource.emplace();
    r.name = "cpu";
    r.target.type = "Utilization";
    r.target.averageUtilization = 80;
  }
  if (!s.behavior) return;
  scalingRules(s.behavior->scaleUp, true);
  scalingRules(s.behavior->scaleDown, false);
}

constexpr TypeDefault kRules[] = {
    rule<api::apps_v1::DeploymentSpec, deployment>(),
    rule<api::apps_v1::ReplicaSetSpec, replicaSet>(),
    rule<api::apps_v1::DaemonSetSpec, daemonSet>(),
    rule<api::apps_v1::StatefulSetSpec, statefulSet>(),
    rule<api::batch_v1::Job, wholeJob>(),
    rule<api::batch_v1::PodFailurePolicyOnPodConditionsPattern, podCondition>(),
    rule<api::batch_v1::CronJobSpec, cronJob>(),
    rule<api::autoscaling_v2::HorizontalPodAutoscalerSpec, autoscaler>(),
};

}  // namespace

std::span<const TypeDefault> workloadDefaults() { return kRules; }

}  // namespace km::registry
