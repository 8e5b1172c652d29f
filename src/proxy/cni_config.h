// The CNI configuration of a node whose pods hang on one bridge.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"

namespace km::proxy {

struct PodRange {
  std::string cidr;     // "10.244.1.0/24"
  std::string gateway;  // the bridge's address in it
};

struct CniConfig {
  std::string name = "km";
  std::string bridge = "cni0";
  std::vector<PodRange> podRanges;    // one a family
  int mtu = 0;                        // 0: the plugin's choice
  std::string addressesDir;           // where the addresses in use are kept; empty: the plugin's choice, shared by the machine
};

// The conflist as JSON: bridge (hairpin; its address and masquerading are ours), host-local addresses with a default route by the first
// address of the range, portmap.
std::string cniConflist(const CniConfig& config);
// Writes DIRECTORY/10-NAME.conflist, whole or not at all; leaves an equal file alone.
Status writeCniConflist(const std::string& directory, const CniConfig& config);

}  // namespace km::proxy
