// Parts of the pod's rules that workloads share.
#pragma once

#include "registry/core/pod_validation.h"

namespace km::registry {

// Clears what stands behind a feature gate that is off, unless the old spec has it already.
void dropGatedPodFields(api::core_v1::PodSpec& spec, const api::core_v1::PodSpec* old);

}  // namespace km::registry
