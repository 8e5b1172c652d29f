// Phase and conditions of a pod from its containers' statuses. Pure.
#pragma once

#include <string>

#include "kubelet/pod_util.h"

namespace km::kubelet {

// `initialized`: main containers have been made, so restarting sidecars don't take the pod back to Pending.
std::string podPhase(const v1::Pod& pod, const v1::PodStatus& status, bool terminal, bool initialized);
// Type, status, reason and message; of a status whose phase is set.
v1::PodCondition initializedCondition(const v1::Pod& pod, const v1::PodStatus& status);
v1::PodCondition containersReadyCondition(const v1::Pod& pod, const v1::PodStatus& status);
v1::PodCondition readyCondition(const v1::Pod& pod, const v1::PodStatus& status, const v1::PodCondition& containersReady);

}  // namespace km::kubelet
