// Registry credentials of a pod's imagePullSecrets.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/types/cri_runtime_v1.h"
#include "kubelet/object_source.h"

namespace km::kubelet {

// Those that fit the image's registry, in order; without any, one attempt without credentials.
std::vector<std::optional<api::cri_runtime_v1::AuthConfig>> pullCredentials(const v1::Pod& pod, std::string_view image, ObjectSource& objects);

}  // namespace km::kubelet
