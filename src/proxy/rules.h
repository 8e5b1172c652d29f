// From services and their endpoints to the table that serves them: the proxy's pure core.
//
// Layout: flat maps, so that a change touches elements and not rules. A frontend (cluster IP, external IP or node port, with
// protocol and port) is an element of a verdict map and leads to a chain that depends only on the number of endpoints and on
// masquerading; that chain takes a random endpoint from a data map. Only services with client affinity have chains
// of their own.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "api/types/fwd.h"
#include "proxy/table.h"

namespace km::proxy {

enum class Family { kIpv4, kIpv6 };

struct Snapshot {
  std::vector<std::shared_ptr<const api::core_v1::Service>> services;
  std::vector<std::shared_ptr<const api::discovery_v1::EndpointSlice>> slices;
};

struct RuleOptions {
  std::string nodeName;
  std::vector<std::string> nodeIps;       // node ports answer on these; empty: on every local address but loopback
  std::vector<std::string> clusterCidrs;  // pods; empty: traffic to cluster IPs is not masqueraded
  bool masqueradeAll = false;
  // Pods of one bridge answer each other past the IP layer; where the kernel doesn't hand bridged packets to nftables, the
  // traffic of local pods to local pods through services has to be masqueraded.
  bool masqueradeLocal = false;
  // What pods send out of `clusterCidrs` leaves under the node's address. For nodes whose CNI plugin doesn't see to it.
  bool masqueradePods = false;
};

Table makeTable(const Snapshot& snapshot, const RuleOptions& options, Family family);

}  // namespace km::proxy
