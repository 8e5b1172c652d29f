// namespace-controller: deletes what is in a namespace that is being deleted, pods first, and then lets it go.
#pragma once

#include <memory>

#include "controllers/context.h"

namespace km::controllers::nscontroller {

std::unique_ptr<Controller> make(Context& context);

}  // namespace km::controllers::nscontroller
