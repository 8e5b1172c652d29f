// Kubeconfig files (v1): which server, with which credentials.
#pragma once

#include <string>
#include <string_view>

#include "api/types/fwd.h"
#include "base/result.h"
#include "client/http_client.h"

namespace km::client {

// What flags say over the file's own choice; empty: the file's.
struct KubeconfigOverrides {
  std::string context;
  std::string cluster;
  std::string user;
  std::string server;
};

// From the file (YAML or JSON); relative paths in it are relative to its folder. `ns`, if given, receives the context's
// namespace.
Result<RestConfig> loadKubeconfig(const std::string& path, const KubeconfigOverrides& overrides = {}, std::string* ns = nullptr);
// From its text; relative paths are relative to `folder`.
Result<RestConfig> parseKubeconfig(std::string_view text, const std::string& folder, const KubeconfigOverrides& overrides = {},
                                   std::string* ns = nullptr);
// Inside a pod: KUBERNETES_SERVICE_HOST and _PORT, and the service account's mounted token and CA.
Result<RestConfig> inClusterConfig();

}  // namespace km::client
