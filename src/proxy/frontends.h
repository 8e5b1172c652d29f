// Which endpoints serve a service port, by upstream's rules. For rules.cc.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "proxy/rules.h"

namespace km::proxy {

struct Target {
  std::string ip;
  int port = 0;
  bool local = false;  // on this node
  auto operator<=>(const Target&) const = default;
};

struct ServicePortView {
  const api::core_v1::Service* service = nullptr;
  std::string name;      // "ns/name:port"
  std::string protocol;  // tcp, udp, sctp
  int port = 0, nodePort = 0;
  std::vector<std::string> clusterIps, externalIps, loadBalancerIps;  // of the family
  std::vector<Target> all;    // usable in the cluster, sorted
  std::vector<Target> local;  // usable on this node, sorted
  bool internalLocal = false, externalLocal = false;
  int affinitySeconds = 0;  // 0: none
};

bool isOfFamily(std::string_view address, Family family);
std::vector<ServicePortView> servicePorts(const Snapshot& snapshot, const RuleOptions& options, Family family);

}  // namespace km::proxy
