#include "scheduler/metrics.h"

namespace km::scheduler {
namespace {

std::vector<double> milliseconds() {
  return exponentialBuckets(0.001, 2, 15);
}

MetricVec<Gauge>& pending(MetricRegistry& r) {
  return r.gauge("scheduler_pending_pods",
                 "[STABLE] Number of pending pods, by the queue type. 'active' means number of pods in "
                 "activeQ; 'backoff' means "
                 "number of pods in backoffQ; 'unschedulable' means number of pods in unschedulablePods that "
                 "the scheduler "
                 "attempted to schedule and failed; 'gated' is the number of unschedulable pods that the "
                 "scheduler never "
                 "attempted to schedule because they are gated.",
                 {"queue"});
}

MetricVec<Gauge>& cacheSize(MetricRegistry& r) {
  return r.gauge("scheduler_cache_size",
                 "[ALPHA] Number of nodes, pods, and assumed (bound) pods in the scheduler cache.", {"type"});
}

}  // namespace

Metrics::Metrics(MetricRegistry& r)
    : active(pending(r).with({"active"})),
      backoff(pending(r).with({"backoff"})),
      unschedulable(pending(r).with({"unschedulable"})),
      gated(pending(r).with({"gated"})),
      cacheNodes(cacheSize(r).with({"nodes"})),
      cachePods(cacheSize(r).with({"pods"})),
      cacheAssumed(cacheSize(r).with({"assumed_pods"})),
      algorithm(r.histogram("scheduler_scheduling_algorithm_duration_seconds",
                            "[ALPHA] Scheduling algorithm latency in seconds", milliseconds())),
      attempts(r.histogram("scheduler_pod_scheduling_attempts",
                           "[STABLE] Number of attempts to successfully schedule a pod.",
                           exponentialBuckets(1, 2, 5))),
      victims(r.histogram("scheduler_preemption_victims", "[STABLE] Number of selected preemption victims",
                          exponentialBuckets(1, 2, 7))),
      preemptions(r.counter("scheduler_preemption_attempts_total",
                            "[STABLE] Total preemption attempts in the cluster till now")),
      incoming(r.counter("scheduler_queue_incoming_pods_total",
                         "[STABLE] Number of pods added to scheduling queues by event and queue type.",
                         {"queue", "event"})),
      sli(r.histogram("scheduler_pod_scheduling_sli_duration_seconds",
                      "[BETA] E2e latency for a pod being scheduled, from the time the pod enters the "
                      "scheduling queue and might "
                      "involve multiple scheduling attempts.",
                      {"attempts"}, exponentialBuckets(0.01, 2, 20))),
      scheduleAttempts_(r.counter(
          "scheduler_schedule_attempts_total",
          "[STABLE] Number of attempts to schedule pods, by the result. 'unschedulable' means a pod could "
          "not be scheduled, while 'error' means an internal scheduler problem.",
          {"result", "profile"})),
      attemptDuration_(
          r.histogram("scheduler_scheduling_attempt_duration_seconds",
                      "[STABLE] Scheduling attempt latency in seconds (scheduling algorithm + binding)",
                      {"result", "profile"}, milliseconds())) {}

void Metrics::attempt(std::string_view profile, Result result, double seconds) {
  std::string_view name = result == Result::kScheduled       ? "scheduled"
                          : result == Result::kUnschedulable ? "unschedulable"
                                                             : "error";
  scheduleAttempts_.with({name, profile}).inc();
  attemptDuration_.with({name, profile}).observe(seconds);
}

}  // namespace km::scheduler
