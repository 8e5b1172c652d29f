// The network of a node's pods: a bridge with the node's range of pod addresses, and routes to the pods of the other nodes, which
// must be neighbours (one network, no router between them).
#pragma once

#include <map>
#include <memory>
#include <string>

#include "api/types/fwd.h"
#include "client/informer.h"

namespace km {

struct PodNetworkOptions {
  std::string nodeName;
  std::string dataDir;  // <dataDir>/cni/net.d has the configuration for the runtime, <dataDir>/cni/networks the addresses in use
  std::string bridge = "km0";
};

// The first address of a range: the bridge's own. "10.244.3.0/24" -> "10.244.3.1".
std::string firstAddress(const std::string& cidr);

// Makes the bridge with its address, and the CNI configuration that uses it. The runtime sees by it that pods can have a network.
Status preparePodNetwork(const PodNetworkOptions& options, const std::string& podCidr);

// Follows the cluster's nodes: its own for the range of its pods (Node.spec.podCIDR), the others for routes.
class PodNetwork {
 public:
  // The informers must outlive it; the caller starts them.
  PodNetwork(PodNetworkOptions options, client::InformerFactory& informers);
  ~PodNetwork();  // routes and bridge stay
  PodNetwork(const PodNetwork&) = delete;
  PodNetwork& operator=(const PodNetwork&) = delete;

 private:
  void onNode(const api::core_v1::Node& node);
  void onGone(const api::core_v1::Node& node);

  const PodNetworkOptions options_;
  std::map<std::string, std::string> routes_;  // range -> gateway; in the handler only
  std::string own_;                            // the range that the bridge has
  std::unique_ptr<client::Registration> registration_;
};

}  // namespace km
