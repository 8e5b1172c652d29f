// What the runtime has of one pod: snapshots that the pure parts work on. Labels and annotations are upstream's, so that
// containers are taken over by a kubelet that starts later.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cri/runtime.h"

namespace km::kubelet {

inline constexpr std::string_view kPodNameLabel = "io.kubernetes.pod.name";
inline constexpr std::string_view kPodNamespaceLabel = "io.kubernetes.pod.namespace";
inline constexpr std::string_view kPodUidLabel = "io.kubernetes.pod.uid";
inline constexpr std::string_view kContainerNameLabel = "io.kubernetes.container.name";
inline constexpr std::string_view kHashAnnotation = "io.kubernetes.container.hash";
inline constexpr std::string_view kRestartCountAnnotation = "io.kubernetes.container.restartCount";
inline constexpr std::string_view kTerminationPathAnnotation = "io.kubernetes.container.terminationMessagePath";
inline constexpr std::string_view kTerminationPolicyAnnotation = "io.kubernetes.container.terminationMessagePolicy";
inline constexpr std::string_view kPodGraceAnnotation = "io.kubernetes.pod.terminationGracePeriod";

struct ContainerRecord {
  std::string id, name, sandboxId, hash;
  int restartCount = 0;
  cri::ContainerStatus status;
  std::string terminationMessage;  // read once it ended
  bool messageRead = false;

  bool running() const { return status.state == cri::ContainerState::kCONTAINER_RUNNING; }
  bool created() const { return status.state == cri::ContainerState::kCONTAINER_CREATED; }
  bool exited() const { return status.state == cri::ContainerState::kCONTAINER_EXITED; }
  bool unknown() const { return status.state == cri::ContainerState::kCONTAINER_UNKNOWN; }
};

struct SandboxRecord {
  std::string id;
  uint32_t attempt = 0;
  cri::PodSandboxStatus status;
  bool ready() const { return status.state == cri::PodSandboxState::kSANDBOX_READY; }
  std::vector<std::string> ips() const;
};

struct RuntimePod {
  std::string uid, name, ns;
  std::vector<SandboxRecord> sandboxes;    // newest first
  std::vector<ContainerRecord> containers;  // newest first

  const ContainerRecord* latest(std::string_view name) const;        // of any sandbox
  const ContainerRecord* latestActive(std::string_view name) const;  // of the newest sandbox
  // The one before the newest of that name.
  const ContainerRecord* previous(std::string_view name) const;
  ContainerRecord* byId(std::string_view id);
  const SandboxRecord* sandbox() const { return sandboxes.empty() ? nullptr : &sandboxes.front(); }
  bool anyRunning() const;
  bool anySandboxReady() const;
  void sort();
};

ContainerRecord recordOf(cri::ContainerStatus status, std::string sandboxId);
SandboxRecord recordOf(cri::PodSandboxStatus status);

// Everything that the runtime has, by pod uid. Blocks.
Result<std::map<std::string, RuntimePod>> listRuntimePods(cri::Runtime& runtime);

}  // namespace km::kubelet
