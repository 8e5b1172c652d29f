// The form of image names ("[HOST[:PORT]/]PATH[:TAG][@DIGEST]"). Pure.
#pragma once

#include <string_view>

#include "base/status.h"

namespace km::kubelet {

// Upstream's words: "invalid reference format" and the like.
Status checkImageName(std::string_view name);

}  // namespace km::kubelet
