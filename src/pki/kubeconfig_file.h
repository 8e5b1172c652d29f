// Kubeconfig files as kubeadm writes them: one cluster, one user, everything embedded.
#pragma once

#include <string>

#include "base/status.h"

namespace km::pki {

struct KubeconfigSpec {
  std::string cluster = "kubernetes";
  std::string server;  // https://host:port
  std::string caPem;
  std::string user;
  std::string certificatePem;
  std::string keyPem;
};

std::string kubeconfigYaml(const KubeconfigSpec& spec);

// Writes it with mode 0600, unless the file already says exactly this.
Status writeKubeconfig(const std::string& path, const KubeconfigSpec& spec);

}  // namespace km::pki
