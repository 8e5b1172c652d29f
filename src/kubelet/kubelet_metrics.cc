#include "kubelet/kubelet_metrics.h"

#include <fmt/format.h>

#include <map>

#include "kubelet/cgroups.h"
#include "kubelet/node_stats.h"
#include "kubelet/resources.h"

namespace km::kubelet {
namespace {

constexpr double kStartBounds[] = {0.5, 1, 2, 3, 4, 5, 6, 8, 10, 20, 30, 45, 60, 120, 180, 240, 300, 360, 480, 600, 900, 1200, 1800, 2700, 3600};
constexpr std::string_view kResults[] = {"successful", "failed", "unknown"};

MetricVec<Counter>& probeCounter() {
  static auto& family = probeMetrics().counter(
      "prober_probe_total", "[BETA] Cumulative number of a liveness, readiness or startup probe for a container by result.",
      {"container", "namespace", "pod", "pod_uid", "probe_type", "result"});
  return family;
}

double seconds(uint64_t nanos) { return static_cast<double>(nanos) / 1e9; }

}  // namespace

MetricRegistry& probeMetrics() {
  static MetricRegistry* registry = new MetricRegistry;
  return *registry;
}

void countProbe(const v1::Pod& pod, std::string_view container, std::string_view type, std::string_view result) {
  probeCounter().with({container, pod.metadata.namespace_.view(), pod.metadata.name.view(), pod.metadata.uid.view(), type, result}).inc();
}

void forgetProbe(const v1::Pod& pod, std::string_view container, std::string_view type) {
  for (std::string_view result : kResults) {
    probeCounter().remove({container, pod.metadata.namespace_.view(), pod.metadata.name.view(), pod.metadata.uid.view(), type, result});
  }
}

Histogram& podStarts() {
  static Histogram& h = MetricRegistry::process().histogram(
      "kubelet_pod_start_duration_seconds", "[ALPHA] Duration in seconds from kubelet seeing a pod for the first time to the pod starting to run", kStartBounds);
  return h;
}

void observePodStart(Duration took) { podStarts().observe(std::chrono::duration<double>(took).count()); }

std::string runningMetrics(const Options& options, const std::vector<PodPtr>& pods) {
  MetricRegistry r;
  r.gauge("kubelet_node_name", "[ALPHA] The node's name. The count is always 1.", {"node"}).with({options.nodeName}).set(1);
  Gauge& running = r.gauge("kubelet_running_pods", "[ALPHA] Number of pods that have a running pod sandbox");
  auto& containers = r.gauge("kubelet_running_containers", "[ALPHA] Number of containers currently running", {"container_state"});
  for (const auto& pod : pods) {
    if (pod->status.phase == "Running") running.inc();
    for (const auto* list : {&pod->status.containerStatuses, &pod->status.initContainerStatuses}) {
      for (const auto& c : *list) {
        if (c.state.running) containers.with({"running"}).inc();
        if (c.state.terminated) containers.with({"exited"}).inc();
      }
    }
  }
  containers.with({"running"});
  std::string out;
  r.writeText(out);
  return out;
}

std::string resourceMetrics(const Options& options, const std::vector<PodPtr>& pods) {
  MetricRegistry r;
  auto& nodeCpu = r.counter("node_cpu_usage_seconds_total", "[STABLE] Cumulative cpu time consumed by the node in core-seconds");
  auto& nodeMemory = r.gauge("node_memory_working_set_bytes", "[STABLE] Current working set of the node in bytes");
  auto& podCpu = r.counter("pod_cpu_usage_seconds_total", "[STABLE] Cumulative cpu time consumed by the pod in core-seconds", {"namespace", "pod"});
  auto& podMemory = r.gauge("pod_memory_working_set_bytes", "[STABLE] Current working set of the pod in bytes", {"namespace", "pod"});
  auto& cpu = r.counter("container_cpu_usage_seconds_total", "[STABLE] Cumulative cpu time consumed by the container in core-seconds", {"container", "namespace", "pod"});
  auto& memory = r.gauge("container_memory_working_set_bytes", "[STABLE] Current working set of the container in bytes", {"container", "namespace", "pod"});
  auto& start = r.gauge("container_start_time_seconds", "[STABLE] Start time of the container since unix epoch in seconds", {"container", "namespace", "pod"});
  r.gauge("resource_scrape_error", "[STABLE] 1 if there was an error while getting container metrics, 0 otherwise").set(0);
  CgroupUsage node = cgroupUsage(options, "");
  if (node.cpu) nodeCpu.add(seconds(*node.cpu));
  nodeMemory.set(static_cast<double>(node.workingSet()));
  for (const auto& pod : pods) {
    std::string_view ns = pod->metadata.namespace_, name = pod->metadata.name;
    std::string group = cgroupParent(*pod);
    CgroupUsage all = cgroupUsage(options, group);
    if (all.cpu) podCpu.with({ns, name}).add(seconds(*all.cpu));
    if (all.memory) podMemory.with({ns, name}).set(static_cast<double>(all.workingSet()));
    for (const auto& c : pod->status.containerStatuses) {
      if (!c.state.running) continue;
      std::string id = c.containerID.str();
      if (size_t at = id.find("://"); at != std::string::npos) id.erase(0, at + 3);
      CgroupUsage own = cgroupUsage(options, group + "/" + id);
      if (own.cpu) cpu.with({c.name.view(), ns, name}).add(seconds(*own.cpu));
      if (own.memory) memory.with({c.name.view(), ns, name}).set(static_cast<double>(own.workingSet()));
      start.with({c.name.view(), ns, name}).set(static_cast<double>(c.state.running->startedAt.seconds));
    }
  }
  std::string out;
  r.writeText(out);
  return out;
}

}  // namespace km::kubelet
