// The node's pod bridge: made before anything runs, so that its address can be the node's. Netlink, no tools.
#pragma once

#include <string>

#include "base/status.h"

namespace km {

// Makes the bridge if it is missing, gives it the address ("10.244.0.1", 24) and takes it up. Loopback is taken up too.
Status ensureBridge(const std::string& name, const std::string& address, int prefixLength);
// Success also if there is none.
Status removeLink(const std::string& name);

}  // namespace km
