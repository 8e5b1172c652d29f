// What the runtime is asked to make: configurations of sandboxes and containers.
#pragma once

#include <map>
#include <string>

#include "api/types/cri_runtime_v1.h"
#include "kubelet/environment.h"
#include "kubelet/options.h"
#include "kubelet/security.h"

namespace km::kubelet {

// Host paths of a pod's volumes, by name.
struct VolumePath {
  std::string path;
  bool readOnly = false;
};
using VolumePaths = std::map<std::string, VolumePath, std::less<>>;

std::string podDirectory(const Options& options, std::string_view uid);

// Reads the node's resolv.conf; makes the pod's log directory.
Result<api::cri_runtime_v1::PodSandboxConfig> sandboxConfig(const Options& options, const v1::Pod& pod, uint32_t attempt);

struct ContainerContext {
  const Options* options = nullptr;
  DownwardContext downward;  // with the pod
  const Services* services = nullptr;
  ObjectSource* objects = nullptr;
  const VolumePaths* volumes = nullptr;
  std::string imageRef;
  ImageUser imageUser;
  int restartCount = 0;
  int64_t memoryCapacity = 0;
  std::string targetId;  // see containerSecurity
};

// Makes the files that are mounted: termination log, hosts, subpaths. Errors are what CreateContainerConfigError tells.
Result<api::cri_runtime_v1::ContainerConfig> containerConfig(const ContainerContext& context, const v1::Container& c);

}  // namespace km::kubelet
