// serviceaccount-controller: keeps the ServiceAccount "default" in each namespace.
#pragma once

#include <memory>

#include "controllers/context.h"

namespace km::controllers::serviceaccount {

std::unique_ptr<Controller> make(Context& context);

}  // namespace km::controllers::serviceaccount
