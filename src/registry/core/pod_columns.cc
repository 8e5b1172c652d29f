// The row of a pod (upstream's printPod).
#include "registry/core/pod_columns.h"

#include <fmt/format.h>

#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"
#include "resources/pod.h"

namespace km::registry {

namespace v1 = api::core_v1;

namespace {

struct Summary {
  std::string reason;
  int restarts = 0;
  int ready = 0;
  int total = 0;
  codec::Time lastRestart;

  void noteRestart(const v1::ContainerStatus& s) {
    restarts += s.restartCount;
    if (!s.lastState.terminated) return;
    const codec::Time& at = s.lastState.terminated->finishedAt;
    if (lastRestart < at) lastRestart = at;
  }
};

std::string exitText(const v1::ContainerStateTerminated& t) {
  if (!t.reason.empty()) return t.reason.str();
  if (t.signal != 0) return fmt::format("Signal:{}", t.signal);
  return fmt::format("ExitCode:{}", t.exitCode);
}

bool conditionTrue(const v1::Pod& pod, std::string_view type) {
  for (const auto& c : pod.status.conditions) {
    if (c.type == type) return c.status == "True";
  }
  return false;
}

// Whether the pod is still initializing. `sidecars` gets the restarts that stay visible after that.
bool readInit(const v1::Pod& pod, Summary& all, Summary& sidecars) {
  auto sidecar = [&](std::string_view name) {
    for (const auto& c : pod.spec.initContainers) {
      if (c.name == name) return resources::isSidecar(c);
    }
    return false;
  };
  const auto& statuses = pod.status.initContainerStatuses;
  for (size_t i = 0; i < statuses.size(); i++) {
    const auto& s = statuses[i];
    all.noteRestart(s);
    bool keeps = sidecar(s.name);
    if (keeps) sidecars.noteRestart(s);
    if (s.state.terminated && s.state.terminated->exitCode == 0) continue;
    if (keeps && s.started.value_or(false)) {
      if (s.ready) all.ready++;
      continue;
    }
    if (s.state.terminated) {
      all.reason = "Init:" + exitText(*s.state.terminated);
    } else if (s.state.waiting && !s.state.waiting->reason.empty() && s.state.waiting->reason != "PodInitializing") {
      all.reason = "Init:" + s.state.waiting->reason.str();
    } else {
      all.reason = fmt::format("Init:{}/{}", i, pod.spec.initContainers.size());
    }
    return true;
  }
  return false;
}

void readContainers(const v1::Pod& pod, Summary& sum) {
  bool running = false;
  std::string error;
  const auto& statuses = pod.status.containerStatuses;
  for (size_t i = statuses.size(); i-- > 0;) {
    const auto& s = statuses[i];
    sum.noteRestart(s);
    if (s.state.waiting && !s.state.waiting->reason.empty()) {
      sum.reason = s.state.waiting->reason.str();
    } else if (s.state.terminated) {
      sum.reason = exitText(*s.state.terminated);
      if (s.state.terminated->exitCode != 0) error = sum.reason;
    } else if (s.ready && s.state.running) {
      running = true;
      sum.ready++;
    }
  }
  if (sum.reason != "Completed") return;
  if (running && conditionTrue(pod, "Ready")) {
    sum.reason = "Running";
  } else if (!error.empty()) {
    sum.reason = error;
  } else if (running) {
    sum.reason = "NotReady";
  }
}

Summary summarize(const v1::Pod& pod) {
  Summary sum;
  sum.reason = pod.status.reason.empty() ? pod.status.phase.str() : pod.status.reason.str();
  for (const auto& c : pod.status.conditions) {
    if (c.type == "PodScheduled" && c.reason == "SchedulingGated") sum.reason = "SchedulingGated";
  }
  sum.total = static_cast<int>(pod.spec.containers.size());
  for (const auto& c : pod.spec.initContainers) sum.total += resources::isSidecar(c) ? 1 : 0;
  Summary sidecars;
  bool initializing = readInit(pod, sum, sidecars);
  if (!initializing || conditionTrue(pod, "Initialized")) {
    sum.restarts = sidecars.restarts;
    sum.lastRestart = sidecars.lastRestart;
    readContainers(pod, sum);
  }
  if (pod.metadata.deletionTimestamp) {
    if (pod.status.reason == "NodeLost") {
      sum.reason = "Unknown";
    } else if (pod.status.phase != "Failed" && pod.status.phase != "Succeeded") {
      sum.reason = "Terminating";
    }
  }
  return sum;
}

std::string orNone(std::string_view s) { return std::string(s.empty() ? "<none>" : s); }

}  // namespace

Cells podCells(const api::Object& o, WallTime now) {
  const auto& pod = o.as<v1::Pod>();
  Summary sum = summarize(pod);
  std::string restarts = std::to_string(sum.restarts);
  if (sum.restarts != 0 && !sum.lastRestart.isZero()) restarts += fmt::format(" ({} ago)", age(sum.lastRestart, now));
  std::string gates = "<none>";
  if (!pod.spec.readinessGates.empty()) {
    int open = 0;
    for (const auto& g : pod.spec.readinessGates) open += conditionTrue(pod, g.conditionType) ? 1 : 0;
    gates = fmt::format("{}/{}", open, pod.spec.readinessGates.size());
  }
  return {textCell(o.name()),
          textCell(fmt::format("{}/{}", sum.ready, sum.total)),
          textCell(sum.reason),
          textCell(restarts),
          ageCell(o, now),
          textCell(orNone(pod.status.podIPs.empty() ? "" : pod.status.podIPs[0].ip.view())),
          textCell(orNone(pod.spec.nodeName)),
          textCell(orNone(pod.status.nominatedNodeName)),
          textCell(gates)};
}

std::string containerNames(const v1::PodSpec& spec) {
  std::vector<std::string> names;
  for (const auto& c : spec.containers) names.push_back(c.name.str());
  return joined(names, ",");
}

std::string containerImages(const v1::PodSpec& spec) {
  std::vector<std::string> images;
  for (const auto& c : spec.containers) images.push_back(c.image.str());
  return joined(images, ",");
}

}  // namespace km::registry
