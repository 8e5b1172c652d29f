// Kinds whose rules are the generic ones but whose rows are their own.
#pragma once

#include <memory>

#include "registry/strategy.h"

namespace km::registry {

// Null if the resource's rows are the usual ones.
std::unique_ptr<Strategy> makeColumnStrategy(const api::Resource& r);

}  // namespace km::registry
