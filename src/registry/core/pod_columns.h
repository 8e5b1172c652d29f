#pragma once

#include "api/types/fwd.h"
#include "registry/cells.h"

namespace km::registry {

Cells podCells(const api::Object& o, WallTime now);
// "a,b": the cells of templates.
std::string containerNames(const api::core_v1::PodSpec& spec);
std::string containerImages(const api::core_v1::PodSpec& spec);

}  // namespace km::registry
