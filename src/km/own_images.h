// The images that come with km: the sandbox's, and one of busybox to try things with.
#pragma once

#include <optional>

#include "cri/images.h"

namespace km {

inline constexpr char kPauseImage[] = "km.local/pause:1";

cri::SimpleImage pauseImage();
// From /bin/busybox of the package busybox-static; nothing if it is not installed or not static.
std::optional<cri::SimpleImage> busyboxImage();

}  // namespace km
