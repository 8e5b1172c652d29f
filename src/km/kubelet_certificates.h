// A node's certificates from the cluster: the first client certificate by a bootstrap kubeconfig, its rotation, and serving certificates
// (serverTLSBootstrap). Files and their names are upstream's: <cert-dir>/kubelet-client-current.pem, a link to the newest pair.
#pragma once

#include <memory>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "client/client.h"
#include "client/http_client.h"
#include "pki/certificate.h"

namespace km {

// <directory>/PREFIX-current.pem holds certificate and key.
class CertificateStore {
 public:
  CertificateStore(std::string directory, std::string prefix) : directory_(std::move(directory)), prefix_(std::move(prefix)) {}
  std::string currentPath() const { return directory_ + "/" + prefix_ + "-current.pem"; }
  Result<pki::KeyPair> current() const;
  // Writes PREFIX-<time>.pem and turns the link to it.
  Status update(const std::string& certificatePem, const pki::Key& key) const;

 private:
  const std::string directory_, prefix_;
};

struct CertificateRequest {
  std::string name;  // empty: "csr-" and what the server makes of it
  std::string signer;
  std::vector<std::string> usages;
  pki::CertificateSpec spec;
};

// Asks for a certificate of the key and waits, by a watch, until it is signed, refused, or `stop` is asked for. PEM.
Result<std::string> requestCertificate(client::Client& client, const CertificateRequest& request, const pki::Key& key, std::stop_token stop);

struct BootstrapOptions {
  std::string kubeconfig, bootstrapKubeconfig, certDir, nodeName;
};
// Makes the kubeconfig if it is missing, or what it names has expired: a client certificate is asked for with the bootstrap kubeconfig. Blocks
// until the cluster signs it.
Status bootstrapKubelet(async::Loop& loop, const BootstrapOptions& options, std::stop_token stop);

CertificateRequest nodeClientRequest(const std::string& nodeName, const pki::Key& key);
CertificateRequest nodeServingRequest(const std::string& nodeName, const std::vector<std::string>& ips);

// Renews a store's certificate when 70 to 90 % of its life have passed, at once if there is none. Who uses the files sees them change.
class CertificateRotation {
 public:
  // `client` must outlive it.
  CertificateRotation(client::Client& client, CertificateStore store, CertificateRequest request);
  ~CertificateRotation() = default;  // ends the thread

 private:
  void run(std::stop_token stop);
  Status renew(std::stop_token stop);

  client::Client& client_;
  const CertificateStore store_;
  const CertificateRequest request_;
  std::jthread thread_;  // last: begins when all is there
};

}  // namespace km
