#pragma once

#include "api/types/fwd.h"
#include "base/clock.h"

namespace km::registry {

// Puts the condition in its place by type; its time of transition moves only with its status. Whether anything changed.
bool setPodCondition(api::core_v1::PodStatus& status, api::core_v1::PodCondition condition, WallTime now);

}  // namespace km::registry
