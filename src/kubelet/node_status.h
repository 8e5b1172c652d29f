// The Node object: what this machine has and how it is. Collected from /proc, the cgroups and the runtime.
#pragma once

#include "api/types/core_v1.h"
#include "base/clock.h"
#include "cri/runtime.h"
#include "kubelet/options.h"

namespace km::kubelet {

struct Machine {
  int cpus = 1;
  int64_t memory = 0, storage = 0, pidMax = 32768;
  std::string machineId, systemUuid, bootId, kernel, osImage, hostname;
  std::string arch = "amd64";
};
Machine readMachine(const Options& options);

// What changes.
struct NodeFacts {
  bool runtimeReady = false, networkReady = false;
  std::string notReady;  // why, if not ready
  std::string runtimeVersion;  // "containerd://2.1.9"
  int port = 0;
  std::vector<api::core_v1::ContainerImage> images;
};

// A new Node for registration: labels, spec; no status.
api::core_v1::Node newNode(const Options& options, const Machine& machine);
// The status as it should be; `before` gives what others own and the times of conditions. Pure.
api::core_v1::NodeStatus nodeStatus(const Options& options, const Machine& machine, const NodeFacts& facts, const api::core_v1::NodeStatus& before, WallTime now);
// Whether the two differ in more than heartbeats.
bool nodeStatusChanged(const api::core_v1::NodeStatus& before, const api::core_v1::NodeStatus& now);
// The strategic merge patch that makes `now` of `before`.
std::string nodeStatusPatch(const api::core_v1::NodeStatus& before, const api::core_v1::NodeStatus& now);

}  // namespace km::kubelet
