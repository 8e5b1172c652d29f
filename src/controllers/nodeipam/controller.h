// node-ipam-controller: gives each node its range of pod addresses, out of --cluster-cidr.
#pragma once

#include <memory>

#include "controllers/context.h"

namespace km::controllers::nodeipam {

// Null unless Options::allocateNodeCidrs and a usable clusterCidr are set.
std::unique_ptr<Controller> make(Context& context);

}  // namespace km::controllers::nodeipam
