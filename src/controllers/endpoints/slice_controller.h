// endpointslice-controller: keeps the EndpointSlices of services that select pods.
#pragma once

#include <memory>

#include "controllers/context.h"

namespace km::controllers::endpoints {

std::unique_ptr<Controller> makeSlices(Context& context);

}  // namespace km::controllers::endpoints
