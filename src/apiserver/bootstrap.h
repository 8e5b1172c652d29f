// The objects that the server makes by itself: namespaces, RBAC policy, priority classes, the Service "kubernetes".
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "apiserver/operations.h"
#include "base/result.h"
#include "registry/ip.h"

namespace km::apiserver {

struct BootstrapOptions {
  std::string advertiseAddress;  // of the endpoints of the Service "kubernetes"; empty: they are left alone
  int securePort = 6443;
  std::string serviceIp;         // the first address of the service range
  std::vector<registry::Cidr> serviceRanges;
  std::string clientCa;          // PEM: by whom client certificates are signed; may be empty
};

// The first address of a service range ("10.96.0.1" of "10.96.0.0/16"): that of the Service "kubernetes".
std::string firstServiceAddress(std::string_view cidr);

// Creates what is missing, and adds to the RBAC roles and bindings what they lack, as upstream does at every start
// (roles with rbac.authorization.kubernetes.io/autoupdate: "true"). Blocks.
Status bootstrap(Operations& operations, const BootstrapOptions& options);

}  // namespace km::apiserver
