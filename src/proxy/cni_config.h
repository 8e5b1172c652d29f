// The CNI configuration of a node whose pods hang on one bridge.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"

namespace km::proxy {

struct CniConfig {
  std::string name = "km";
  std::string bridge = "cni0";
  std::vector<std::string> podCidrs;  // one a family
  bool masquerade = true;             // false: the proxy does it (RuleOptions::masqueradePods), which spares iptables for each pod
  int mtu = 0;                        // 0: the plugin's choice
};

// The conflist as JSON: bridge (gateway, masquerading, hairpin), host-local addresses with a default route, portmap.
std::string cniConflist(const CniConfig& config);
// Writes DIRECTORY/10-NAME.conflist, whole or not at all; leaves an equal file alone.
Status writeCniConflist(const std::string& directory, const CniConfig& config);

}  // namespace km::proxy
