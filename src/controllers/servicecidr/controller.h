// The service CIDR controller: says that a range of service addresses is ready, and holds one that goes until no address needs it.
#pragma once

#include <memory>

#include "controllers/context.h"

namespace km::controllers::servicecidr {

std::unique_ptr<Controller> make(Context& context);

}  // namespace km::controllers::servicecidr
