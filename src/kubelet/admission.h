// Whether the node takes a pod that is bound to it: the last word, after the scheduler's. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kubelet/pod_util.h"

namespace km::kubelet {

// As in the pod's status and the event.
struct Rejection {
  std::string reason, message;
};

// Labels and name of the node as they are now.
struct AdmittingNode {
  std::string name;
  codec::Map<codec::String> labels;
  codec::Map<codec::Quantity> allocatable;
};

// `others`: the pods that the node has taken and that have not ended.
std::optional<Rejection> rejectPod(const v1::Pod& pod, const std::vector<PodPtr>& others,
                                   const AdmittingNode& node);
// Whether the pod's node selector and required affinity fit; true without them.
bool matchesNode(const v1::Pod& pod, const AdmittingNode& node);
std::optional<Rejection> rejectSysctls(const v1::Pod& pod);

}  // namespace km::kubelet
