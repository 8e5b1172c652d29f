// What a kubelet tells of itself and of its pods beside the process's metrics: names, labels and types are upstream's.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/metrics.h"
#include "kubelet/options.h"
#include "kubelet/pod_util.h"

namespace km::kubelet {

// prober_probe_total and nothing else: /metrics/probes.
MetricRegistry& probeMetrics();
// Counts an answer; `type` is Liveness, Readiness or Startup, `result` successful, failed or unknown.
void countProbe(const v1::Pod& pod, std::string_view container, std::string_view type, std::string_view result);
// The counts of a container's probe are no longer shown.
void forgetProbe(const v1::Pod& pod, std::string_view container, std::string_view type);

// How long a pod took from its creation to run; kubelet_pod_start_duration_seconds.
void observePodStart(Duration took);
Histogram& podStarts();

// kubelet_node_name, kubelet_running_pods, kubelet_running_containers, as text for /metrics.
std::string runningMetrics(const Options& options, const std::vector<PodPtr>& pods);
// /metrics/resource: what node, pods and containers use.
std::string resourceMetrics(const Options& options, const std::vector<PodPtr>& pods);

}  // namespace km::kubelet
