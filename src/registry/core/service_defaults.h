#pragma once

#include "api/types/fwd.h"

namespace km::registry {

void setServiceDefaults(api::core_v1::Service& s);

}  // namespace km::registry
