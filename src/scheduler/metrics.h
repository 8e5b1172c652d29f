// Upstream's metrics of the scheduler, in the process's registry. Handles are looked up once.
#pragma once

#include <string_view>

#include "base/metrics.h"

namespace km::scheduler {

class Metrics {
 public:
  explicit Metrics(MetricRegistry& registry);

  enum class Result { kScheduled, kUnschedulable, kError };
  // An attempt ended; `seconds`: from its begin, for a scheduled pod to its binding.
  void attempt(std::string_view profile, Result result, double seconds);

  Gauge &active, &backoff, &unschedulable, &gated;  // scheduler_pending_pods
  Gauge &cacheNodes, &cachePods, &cacheAssumed;     // scheduler_scheduler_cache_size
  Histogram& algorithm;                             // scheduler_scheduling_algorithm_duration_seconds
  Histogram& attempts;                              // scheduler_pod_scheduling_attempts
  Histogram& victims;                               // scheduler_preemption_victims
  Counter& preemptions;                             // scheduler_preemption_attempts_total
  MetricVec<Counter>& incoming;                     // scheduler_queue_incoming_pods_total
  MetricVec<Histogram>& sli;                        // scheduler_pod_scheduling_sli_duration_seconds

 private:
  MetricVec<Counter>& scheduleAttempts_;
  MetricVec<Histogram>& attemptDuration_;
};

}  // namespace km::scheduler
