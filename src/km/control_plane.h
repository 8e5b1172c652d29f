// ControlPlane: the API server of this process with all that it stands on: data directory, certificates, store, loops, workers.
// `km apiserver`, `km server` and `km up` are made from it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "apiserver/server.h"
#include "base/clock.h"
#include "base/flags.h"
#include "client/worker_pool.h"
#include "km/tls_flags.h"
#include "pki/cluster_pki.h"
#include "store/store.h"

namespace km {

struct ControlPlaneOptions {
  std::string dataDir = "/var/lib/km";
  std::string bindAddress = "127.0.0.1";
  std::string advertiseAddress;
  int32_t securePort = 6443;
  std::string tokenAuthFile;
  std::string serviceClusterIpRange = "10.96.0.0/16";
  std::string nodePortRange = "30000-32767";
  std::string writeKubeconfig;
  std::string clientCaFile, tlsCertFile, tlsPrivateKeyFile;
  std::vector<std::string> serviceAccountIssuers;
  std::vector<std::string> serviceAccountKeyFiles;
  std::string serviceAccountSigningKeyFile;
  std::vector<std::string> apiAudiences;
  std::vector<std::string> enableAdmissionPlugins, disableAdmissionPlugins;
  std::vector<std::string> authorizationMode = {"Node", "RBAC"};
  std::string kubeletClientCertificate, kubeletClientKey, kubeletCertificateAuthority;
  bool anonymousAuth = true;
  bool allowPrivileged = true, bootstrapTokens = false;
  TlsFlags tls;
  std::string goawayChance = "0";
  Duration shutdownDelay{0}, shutdownWatchGrace{0};
  bool shutdownSendRetryAfter = false;
  Duration requestTimeout = std::chrono::minutes(1);
  int32_t maxRequestsInflight = 400, maxMutatingRequestsInflight = 200;
  Duration eventTtl = std::chrono::hours(1);
  // A store outside: none means the embedded one in the data directory.
  std::vector<std::string> etcdServers;
  std::string etcdCaFile, etcdCertFile, etcdKeyFile;
  std::string etcdPrefix = "/registry";
  Duration etcdCompactionInterval = std::chrono::minutes(5);
  Duration etcdHealthcheckTimeout = std::chrono::seconds(2);
  Duration etcdReadycheckTimeout = std::chrono::seconds(2);
  // Of the certificates that this process makes.
  std::string nodeName;
  std::vector<std::string> nodeIps;
  std::string extraBindAddress;  // the API is served here too: where pods reach it

  // Upstream's names.
  void addTo(FlagSet& flags);
};

class ControlPlane {
 public:
  // Opens everything and starts to serve. An error says what an operator can do about it.
  static Result<std::unique_ptr<ControlPlane>> start(ControlPlaneOptions options);
  // Serves what is under way to its end, then closes. Blocks.
  ~ControlPlane();

  apiserver::ApiServer& api() { return *api_; }
  client::WorkerPool& pool() { return *pool_; }
  async::LoopGroup& loops() { return *loops_; }
  const pki::ClusterPki& pki() const { return *pki_; }
  const pki::Key& tokenSigningKey() const { return *tokenKey_; }  // of service accounts
  const ControlPlaneOptions& options() const { return options_; }
  bool usesEtcd() const { return !options_.etcdServers.empty(); }
  std::string serverUrl() const;
  // Blocks until the process is asked to end. Readiness fails at once; this returns when --shutdown-delay-duration is over.
  void awaitEnd();
  void stop();
  // A stop is about to come: what is under way may end in order, but nobody waits for a store that is gone.
  void hurry();

 private:
  explicit ControlPlane(ControlPlaneOptions options) : options_(std::move(options)) {}
  Status open();
  Status check() const;
  Status openStore();
  Status writeKubeconfig();
  void compactRegularly();

  ControlPlaneOptions options_;
  std::optional<pki::ClusterPki> pki_;
  std::optional<pki::Key> tokenKey_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<async::LoopGroup> loops_;
  std::unique_ptr<client::WorkerPool> pool_;
  std::shared_ptr<apiserver::ApiServer> api_;
  struct Compaction;
  std::shared_ptr<Compaction> compaction_;
  bool stopped_ = false;
};

// The first IPv4 address of this machine that others can reach, or "".
std::string hostAddress();

// Blocks until SIGTERM or SIGINT; a second one ends the process at once.
void waitForEnd(async::Loop& loop);

}  // namespace km
