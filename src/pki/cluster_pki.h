// The certificates and keys of a cluster on disk, with kubeadm's names and subjects, made on first start.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "pki/certificate.h"

namespace km::pki {

struct ClusterPkiOptions {
  std::string directory;      // <data-dir>/pki; made with mode 0700
  std::string confDirectory;  // where admin.conf and the like go; "" for <data-dir>, the directory's parent
  std::string server;         // https://host:port, written into the kubeconfig files
  std::string clusterName = "kubernetes";
  std::string clusterDomain = "cluster.local";
  std::string nodeName;                     // of the kubelet's certificates; "" makes none
  std::vector<std::string> nodeIps;         // in the kubelet's serving certificate
  std::string serviceIp = "10.96.0.1";      // of the Service "kubernetes"
  std::vector<std::string> apiserverNames;  // further DNS names and addresses of the API server
  KeyKind keyKind = KeyKind::kEcdsaP256;
};

// Files in `directory` (keys 0600, certificates 0644):
//   ca, front-proxy-ca                                    authorities, ten years
//   apiserver, kubelet-server                             servers, one year; localhost and loopback are
//   always among the names apiserver-kubelet-client, front-proxy-client, admin, controller-manager,
//   scheduler, kube-proxy, kubelet     clients sa.key, sa.pub service-account tokens
// and in `confDirectory` (0600): admin.conf, controller-manager.conf, scheduler.conf, kube-proxy.conf,
// kubelet.conf.
//
// ensure() may be called at every start, also by several processes at once (a lock file orders them). It
// keeps what is good. A certificate is made again, with the same key, when less than a third of its life is
// left, when its authority changed or when it no longer says what is asked for. An authority is renewed under
// its key, so that what it signed stays valid. An authority's certificate without its key is an error: it is
// never replaced.
class ClusterPki {
 public:
  static Result<ClusterPki> ensure(ClusterPkiOptions options, const Clock& clock);

  const std::string& directory() const { return options_.directory; }
  std::string certificatePath(std::string_view name) const;  // <directory>/NAME.crt
  std::string keyPath(std::string_view name) const;          // <directory>/NAME.key
  std::string confPath(std::string_view name) const;         // <confDirectory>/NAME.conf

  const KeyPair& authority() const { return ca_; }
  const KeyPair& frontProxyAuthority() const { return frontProxyCa_; }
  const Key& serviceAccountKey() const { return serviceAccountKey_; }

  // Makes or keeps one more certificate of the cluster's authority. Times in `spec` do not count.
  Result<KeyPair> ensurePair(const std::string& name, CertificateSpec spec) {
    return ensureSigned(name, std::move(spec), ca_);
  }

 private:
  ClusterPki(ClusterPkiOptions options, WallTime now) : options_(std::move(options)), now_(now) {}
  Result<UniqueFd> lock() const;
  Result<Key> ensureKey(const std::string& name, KeyKind kind);
  Result<KeyPair> ensureAuthority(const std::string& name, const std::string& commonName);
  Result<KeyPair> ensureSigned(const std::string& name, CertificateSpec spec, const KeyPair& authority);
  Status ensureClient(const std::string& name, const std::string& user, std::vector<std::string> groups);
  Status ensureServers();
  Status ensureClients();
  Status ensureServiceAccountKey();

  ClusterPkiOptions options_;
  WallTime now_;
  KeyPair ca_, frontProxyCa_;
  Key serviceAccountKey_;
};

}  // namespace km::pki
