// Which objects of the API a pod refers to, in its containers and volumes.
#pragma once

#include "api/types/core_v1.h"

namespace km::admission {

bool refersToSecrets(const api::core_v1::PodSpec& spec);
bool refersToConfigMaps(const api::core_v1::PodSpec& spec);

}  // namespace km::admission
