// Rules of nodes that others use too.
#pragma once

#include "registry/rules.h"

namespace km::registry {

void validateTaints(const codec::List<api::core_v1::Taint>& taints, const Path& p, FieldErrors& errors);

}  // namespace km::registry
