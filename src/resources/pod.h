// What a pod asks for as a whole (k8s.io/component-helpers/resource), and its quality of service.
#pragma once

#include <string_view>

#include "api/types/fwd.h"
#include "resources/amounts.h"

namespace km::resources {

// Sums over containers: sidecars count beside the others, other init containers by their maximum; without pod-level
// resources and overhead.
ResourceList containerRequests(const api::core_v1::PodSpec& spec);
ResourceList containerLimits(const api::core_v1::PodSpec& spec);
// What the pod as a whole asks for: its containers, those that were resized by what they have and what they are to have, the pod's own
// amounts before theirs, and the overhead (for limits only where there is one).
ResourceList podRequests(const api::core_v1::Pod& pod);
ResourceList podLimits(const api::core_v1::Pod& pod);
// Whether the resource may be given for a pod as a whole.
bool isPodLevelResource(std::string_view name);
bool isSidecar(const api::core_v1::Container& c);
bool hasPodLevelResources(const api::core_v1::PodSpec& spec);

// "Guaranteed", "Burstable" or "BestEffort".
std::string_view qosClass(const api::core_v1::PodSpec& spec);

}  // namespace km::resources
