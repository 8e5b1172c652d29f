// replicaset-controller: keeps as many pods as each ReplicaSet asks for.
#pragma once

#include <memory>

#include "controllers/context.h"

namespace km::controllers::replicaset {

std::unique_ptr<Controller> make(Context& context);

}  // namespace km::controllers::replicaset
