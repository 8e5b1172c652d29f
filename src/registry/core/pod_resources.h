// What a pod asks for as a whole (k8s.io/component-helpers/resource), and its quality of service.
#pragma once

#include <string_view>

#include "api/types/fwd.h"
#include "registry/core/quantities.h"

namespace km::registry {

// Sums over containers: sidecars count beside the others, other init containers by their maximum; without pod-level
// resources and overhead.
ResourceList containerRequests(const api::core_v1::PodSpec& spec);
ResourceList containerLimits(const api::core_v1::PodSpec& spec);
// Whether the resource may be given for a pod as a whole.
bool isPodLevelResource(std::string_view name);
bool isSidecar(const api::core_v1::Container& c);

// "Guaranteed", "Burstable" or "BestEffort".
std::string_view qosClass(const api::core_v1::PodSpec& spec);

}  // namespace km::registry
