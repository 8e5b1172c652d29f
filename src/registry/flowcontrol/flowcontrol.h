// FlowSchemas and PriorityLevelConfigurations.
#pragma once

#include <memory>

#include "registry/strategy.h"

namespace km::registry {

std::unique_ptr<Strategy> makeFlowSchema();
std::unique_ptr<Strategy> makePriorityLevel();

}  // namespace km::registry
