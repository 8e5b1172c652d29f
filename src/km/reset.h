// Taking a node apart: what `km reset` does once km has ended.
#pragma once

#include <functional>
#include <string_view>

#include "km/node.h"

namespace km {

// Ends all pods and containerd, removes mounts, rules, the bridge, cgroups, logs of its pods and the data directory.
Status resetNode(const NodeOptions& options, const std::function<void(std::string_view)>& say);

}  // namespace km
