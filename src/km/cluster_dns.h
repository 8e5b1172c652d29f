// The cluster's name as pods know it: the Service kube-dns, answered by a name server of this process.
#pragma once

#include <string>

#include "base/status.h"
#include "client/client.h"

namespace km {

// Makes the Service kube-dns at `serviceAddress` and its EndpointSlice, whose only endpoint is `address`, port 53. What is there already stays.
Status publishClusterDns(client::Client& client, const std::string& serviceAddress, const std::string& address);

}  // namespace km
