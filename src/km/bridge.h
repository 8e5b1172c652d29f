// The node's pod bridge: made before anything runs, so that its address can be the node's. Netlink, no tools.
#pragma once

#include <string>

#include "base/status.h"

namespace km {

// Makes the bridge if it is missing, gives it the address ("10.244.0.1", 24) and takes it up. Loopback is taken up too.
Status ensureBridge(const std::string& name, const std::string& address, int prefixLength);
// Sends traffic to the range ("10.96.0.0/16") out of the link. Service addresses need some route: a packet without one ends before the
// rules that would turn it.
Status ensureRoute(const std::string& link, const std::string& range);
// Sends traffic to the range by way of a neighbour ("192.168.0.3"), as between the nodes of one network.
Status ensureRouteVia(const std::string& range, const std::string& gateway);
Status removeRoute(const std::string& range);
// Success also if there is none.
Status removeLink(const std::string& name);

}  // namespace km
