// deployment-controller: rolls ReplicaSets out so that a Deployment's pods become those of its template.
#pragma once

#include <memory>

#include "controllers/context.h"

namespace km::controllers::deployment {

std::unique_ptr<Controller> make(Context& context);

}  // namespace km::controllers::deployment
