// node-lifecycle-controller: nodes that give no sign of life become Unknown, taints follow conditions, pods of nodes that are
// not ready stop being ready.
#pragma once

#include <memory>

#include "controllers/context.h"

namespace km::controllers::nodelifecycle {

std::unique_ptr<Controller> make(Context& context);

}  // namespace km::controllers::nodelifecycle
