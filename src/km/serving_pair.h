// A kubelet's own serving certificate, for nodes that are given none.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace km {

struct ServingPair {
  std::string certificateFile, keyFile;
};

// <directory>/kubelet.crt and kubelet.key, as a kubelet names them: kept where both are there, else made, signed by themselves, for a year.
Result<ServingPair> ensureServingPair(const std::string& directory, const std::string& nodeName, std::vector<std::string> ips);

}  // namespace km
