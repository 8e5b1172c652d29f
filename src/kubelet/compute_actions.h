// computeActions: what is to be done so that the runtime has what the pod says. Pure.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "kubelet/pod_runtime.h"
#include "kubelet/pod_util.h"

namespace km::kubelet {

enum class ProbeResult { kUnknown, kSuccess, kFailure };

// What the probes say of a container, by its id.
struct ProbeView {
  std::function<ProbeResult(std::string_view id)> liveness;
  std::function<ProbeResult(std::string_view id)> startup;
};

struct ContainerToStart {
  std::string name;
  ContainerKind kind;
};

struct ContainerToKill {
  std::string id, name;
  std::string message;  // of the event
  bool probe = false;   // by a liveness or startup probe: its own grace period counts
  bool startupProbe = false;
};

struct PodActions {
  bool killPod = false;        // stop all containers and sandboxes
  bool createSandbox = false;  // after killPod, where that is set
  uint32_t attempt = 0;
  std::vector<ContainerToStart> start;  // in this order
  std::vector<ContainerToKill> kill;
};

PodActions computeActions(const v1::Pod& pod, const RuntimePod& runtime, const ProbeView& probes);

// Whether a container that isn't running is to be started (again).
bool shouldContainerRun(const v1::Pod& pod, const RuntimePod& runtime, const v1::Container& c, ContainerKind kind);

}  // namespace km::kubelet
