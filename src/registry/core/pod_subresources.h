// What the ephemeralcontainers and resize subresources of pods may change.
#pragma once

#include "registry/rules.h"

namespace km::registry {

// All but the new ephemeral containers, or the resources of the containers (and of the pod), stays as it was.
void keepButEphemeralContainers(api::core_v1::Pod& pod, const api::core_v1::Pod& old);
void keepButResources(api::core_v1::Pod& pod, const api::core_v1::Pod& old);

void validateEphemeralContainersUpdate(const api::core_v1::Pod& pod, const api::core_v1::Pod& old, FieldErrors& errors);
void validatePodResize(const api::core_v1::Pod& pod, const api::core_v1::Pod& old, FieldErrors& errors);

}  // namespace km::registry
