#pragma once

#include <string>
#include <vector>

#include "api/types/fwd.h"
#include "codec/list.h"

namespace km::registry {

// Files of one volume that hide each other, and projections without a source.
void volumeOverlapWarnings(const codec::List<api::core_v1::Volume>& volumes, std::vector<std::string>& out);

}  // namespace km::registry
