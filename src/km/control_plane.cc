#include "km/control_plane.h"

#include <fmt/format.h>
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <future>
#include <optional>
#include <thread>

#include "apiserver/bootstrap.h"
#include "base/files.h"
#include "base/log.h"
#include "base/start_pages.h"
#include "base/metrics.h"
#include "store/compactor.h"
#include "store/embedded.h"
#include "store/etcd.h"
#include "store/shared_compactor.h"

namespace km {
namespace {

// By then a server has started, and knows its cluster.
constexpr auto kSettled = std::chrono::seconds(15);

store::EtcdOptions etcdOptions(const ControlPlaneOptions& o) {
  store::EtcdOptions e;
  e.endpoints = o.etcdServers;
  e.caFile = o.etcdCaFile;
  e.certificateFile = o.etcdCertFile;
  e.keyFile = o.etcdKeyFile;
  e.prefix = o.etcdPrefix;
  return e;
}

bool saysNothing(const std::string& address) { return address.empty() || address == "0.0.0.0" || address.starts_with("127."); }

}  // namespace

std::string hostAddress() {
  ifaddrs* all = nullptr;
  if (::getifaddrs(&all) != 0) return "";
  std::string found;
  for (ifaddrs* i = all; i != nullptr && found.empty(); i = i->ifa_next) {
    if (i->ifa_addr == nullptr || i->ifa_addr->sa_family != AF_INET || (i->ifa_flags & IFF_LOOPBACK) != 0 || (i->ifa_flags & IFF_UP) == 0) continue;
    char text[INET_ADDRSTRLEN] = {};
    ::inet_ntop(AF_INET, &reinterpret_cast<sockaddr_in*>(i->ifa_addr)->sin_addr, text, sizeof text);
    found = text;
  }
  ::freeifaddrs(all);
  return found;
}

void ControlPlaneOptions::addTo(FlagSet& flags) {
  flags.add(&dataDir, "data-dir", "The `directory` for the store, certificates and everything else that is kept.");
  flags.add(&bindAddress, "bind-address", "The IP `address` on which to listen.");
  flags.add(&advertiseAddress, "advertise-address", "The IP `address` on which to advertise the apiserver to members of the cluster. If blank, --bind-address will be used.");
  flags.add(&securePort, "secure-port", "The `port` on which to serve HTTPS with authentication and authorization.");
  flags.add(&tokenAuthFile, "token-auth-file", "If set, the `file` that will be used to secure the secure port of the API server via token authentication.");
  flags.add(&serviceClusterIpRange, "service-cluster-ip-range", "A CIDR notation IP `range` from which to assign service cluster IPs.");
  flags.add(&nodePortRange, "service-node-port-range", "A port `range` to reserve for services with NodePort visibility.");
  flags.add(&writeKubeconfig, "write-kubeconfig", "Write the administrator's kubeconfig to this `file` (mode 0600).");
  flags.add(&clientCaFile, "client-ca-file", "If set, any request presenting a client certificate signed by one of the authorities in the `file` is authenticated with an identity corresponding to the CommonName of the client certificate.");
  flags.add(&tlsCertFile, "tls-cert-file", "`File` containing the default x509 certificate for HTTPS. Made in the data directory if not given.");
  flags.add(&tlsPrivateKeyFile, "tls-private-key-file", "`File` containing the default x509 private key matching --tls-cert-file.");
  flags.add(&serviceAccountIssuers, "service-account-issuer", "Identifier of the service account token issuer.");
  flags.add(&serviceAccountKeyFiles, "service-account-key-file", "`File` containing PEM-encoded x509 RSA or ECDSA private or public keys, used to verify ServiceAccount tokens.");
  flags.add(&serviceAccountSigningKeyFile, "service-account-signing-key-file", "Path to the `file` that contains the current private key of the service account token issuer.");
  flags.add(&apiAudiences, "api-audiences", "Identifiers of the API.");
  flags.add(&enableAdmissionPlugins, "enable-admission-plugins", "admission `plugins` that should be enabled in addition to default enabled ones.");
  flags.add(&disableAdmissionPlugins, "disable-admission-plugins", "admission `plugins` that should be disabled although they are in the default enabled plugins list.");
  flags.add(&authorizationMode, "authorization-mode", "Ordered list of plug-ins to do authorization on secure port: Node and RBAC.");
  flags.add(&anonymousAuth, "anonymous-auth", "Enables anonymous requests to the secure port of the API server.");
  flags.add(&allowPrivileged, "allow-privileged", "If true, allow privileged containers.");
  flags.add(&kubeletClientCertificate, "kubelet-client-certificate", "Path to a client cert `file` for TLS to kubelets. Made in the data directory if not given.");
  flags.add(&kubeletClientKey, "kubelet-client-key", "Path to a client key `file` for TLS to kubelets.");
  flags.add(&kubeletCertificateAuthority, "kubelet-certificate-authority", "Path to a cert `file` for the certificate authority that kubelets' serving certificates are verified against.");
  flags.add(&goawayChance, "goaway-chance", "The fraction of requests over HTTP/2 whose connection is closed (GOAWAY) once they have ended, so that clients spread over several servers. Min is 0 (off), max is .02 (1/50 requests); .001 is a recommended starting point.");
  flags.add(&shutdownDelay, "shutdown-delay-duration", "Time to delay the termination. During that `time` the server keeps serving requests normally; /healthz and /livez return success, but /readyz immediately returns failure.");
  flags.add(&shutdownSendRetryAfter, "shutdown-send-retry-after", "If true the server goes on listening until all requests under way have ended, and meanwhile answers new ones with 429 and Retry-After.");
  flags.add(&shutdownWatchGrace, "shutdown-watch-termination-grace-period", "The `time` over which active watches are ended during the graceful shutdown. 0: at once.");
  flags.add(&requestTimeout, "request-timeout", "The `duration` a handler must keep a request open before timing it out. It is the default for requests other than watches, logs and streams.");
  flags.add(&maxRequestsInflight, "max-requests-inflight", "The `number` of non-mutating requests that may be under way at a time.");
  flags.add(&maxMutatingRequestsInflight, "max-mutating-requests-inflight", "The `number` of mutating requests that may be under way at a time.");
  flags.add(&etcdServers, "etcd-servers", "List of etcd `servers` to connect with (scheme://ip:port), comma separated. None: the embedded store in the data directory.");
  flags.add(&etcdCaFile, "etcd-cafile", "SSL Certificate Authority `file` used to secure etcd communication.");
  flags.add(&etcdCertFile, "etcd-certfile", "SSL certification `file` used to secure etcd communication.");
  flags.add(&etcdKeyFile, "etcd-keyfile", "SSL key `file` used to secure etcd communication.");
  flags.add(&etcdPrefix, "etcd-prefix", "The `prefix` to prepend to all resource paths in etcd.");
  flags.add(&etcdCompactionInterval, "etcd-compaction-interval", "The `interval` of compaction requests. If 0, the compaction request from apiserver is disabled.");
  flags.add(&etcdHealthcheckTimeout, "etcd-healthcheck-timeout", "The `timeout` to use when checking etcd health.");
  flags.add(&etcdReadycheckTimeout, "etcd-readycheck-timeout", "The `timeout` to use when checking etcd readiness.");
  flags.add(&bootstrapTokens, "enable-bootstrap-token-auth", "Enable to allow secrets of type 'bootstrap.kubernetes.io/token' in the 'kube-system' namespace to be used for TLS bootstrapping authentication.");
  tls.addTo(flags);
  flags.add(&eventTtl, "event-ttl", "Amount of `time` to retain events.");
}

// Forgets the store's old history, once an interval. Servers on one etcd share the work.
struct ControlPlane::Compaction : std::enable_shared_from_this<Compaction> {
  Compaction(async::Loop& loop, store::Store& store, client::WorkerPool& pool, Duration interval, bool shared)
      : loop(loop), timer(std::in_place, loop), store(store), pool(pool), interval(interval), compactor(interval) {
    if (shared) common = std::make_unique<store::SharedCompactor>(store);
  }
  // On the loop. The next interval begins when the work of the last one is done.
  void schedule() {
    if (stopped) return;
    timer->start(interval, [self = shared_from_this()] {
      self->pool.post([self] {
        self->step();
        self->loop.post([self] { self->schedule(); });
      });
    });
  }
  void stop() {
    stopped = true;
    timer.reset();
  }
  // On a worker.
  void step() {
    if (common) return common->step();
    auto now = store.currentRevision();
    if (!now.ok()) return;
    if (auto target = compactor.at(Clock::system().monotonic(), *now)) {
      store.compact(*target, [](Status s) {
        if (!s.ok() && !s.is("Expired")) KM_LOG(WARNING, "compaction failed: {}", s.message());
      });
    }
  }
  async::Loop& loop;
  std::optional<async::Timer> timer;
  store::Store& store;
  client::WorkerPool& pool;
  const Duration interval;
  store::Compactor compactor;
  std::unique_ptr<store::SharedCompactor> common;
  bool stopped = false;
};

Result<std::unique_ptr<ControlPlane>> ControlPlane::start(ControlPlaneOptions options) {
  std::unique_ptr<ControlPlane> plane(new ControlPlane(std::move(options)));
  if (Status s = plane->open(); !s.ok()) return s;
  return plane;
}

std::string ControlPlane::serverUrl() const {
  return fmt::format("https://{}:{}", options_.bindAddress == "0.0.0.0" ? "127.0.0.1" : options_.bindAddress, api_ ? api_->port() : options_.securePort);
}

// What would be less than is asked for is refused.
Status ControlPlane::check() const {
  bool rbac = false;
  for (const std::string& mode : options_.authorizationMode) {
    if (mode != "Node" && mode != "RBAC") return errors::badRequest(fmt::format("--authorization-mode {} is not supported: Node and RBAC are", mode));
    rbac = rbac || mode == "RBAC";
  }
  if (!rbac) return errors::badRequest("--authorization-mode needs RBAC");
  if (!options_.allowPrivileged) return errors::badRequest("--allow-privileged=false is not supported: let Pod Security refuse privileged pods");
  if (options_.eventTtl != std::chrono::hours(1)) return errors::badRequest("--event-ttl is not supported: events are kept for an hour");
  return {};
}

Status ControlPlane::open() {
  KM_TRY(check());
  if (options_.advertiseAddress.empty()) {
    options_.advertiseAddress = saysNothing(options_.bindAddress) ? hostAddress() : options_.bindAddress;
  }
  KM_TRY(makeDirs(options_.dataDir, 0700));
  KM_TRY(openStore());

  pki::ClusterPkiOptions p;
  p.directory = options_.dataDir + "/pki";
  p.server = serverUrl();
  p.nodeName = options_.nodeName;
  p.nodeIps = options_.nodeIps;
  p.serviceIp = apiserver::firstServiceAddress(options_.serviceClusterIpRange);
  p.apiserverNames = {options_.bindAddress};
  if (!options_.extraBindAddress.empty()) p.apiserverNames.push_back(options_.extraBindAddress);
  if (!options_.advertiseAddress.empty()) p.apiserverNames.push_back(options_.advertiseAddress);
  KM_ASSIGN(pki_, pki::ClusterPki::ensure(p, Clock::system()));

  apiserver::ServerOptions o;
  o.bindAddress = options_.bindAddress;
  o.kubeletClientCertificateFile = options_.kubeletClientCertificate.empty() ? pki_->certificatePath("apiserver-kubelet-client") : options_.kubeletClientCertificate;
  o.kubeletClientKeyFile = options_.kubeletClientKey.empty() ? pki_->keyPath("apiserver-kubelet-client") : options_.kubeletClientKey;
  o.kubeletCertificateAuthorityFile = options_.kubeletCertificateAuthority;
  o.securePort = options_.securePort;
  o.extraBindAddress = options_.extraBindAddress;
  o.advertiseAddress = options_.advertiseAddress;
  o.tls.certificateFile = options_.tlsCertFile.empty() ? pki_->certificatePath("apiserver") : options_.tlsCertFile;
  o.tls.keyFile = options_.tlsPrivateKeyFile.empty() ? pki_->keyPath("apiserver") : options_.tlsPrivateKeyFile;
  o.tls.clientCaFile = options_.clientCaFile.empty() ? pki_->certificatePath("ca") : options_.clientCaFile;
  options_.tls.applyTo(o.tls);
  o.bootstrapTokens = options_.bootstrapTokens;
  o.nodeAuthorizer = std::find(options_.authorizationMode.begin(), options_.authorizationMode.end(), "Node") != options_.authorizationMode.end();
  auto readKey = [&](const std::string& path) -> Status {
    KM_ASSIGN(std::string pem, readFile(path));
    KM_ASSIGN(pki::Key key, pki::Key::fromPem(pem));
    o.serviceAccountKeys.push_back(std::move(key));
    return {};
  };
  if (options_.serviceAccountSigningKeyFile.empty()) {
    o.serviceAccountKeys.push_back(pki_->serviceAccountKey());
  } else {
    KM_TRY(readKey(options_.serviceAccountSigningKeyFile));
  }
  tokenKey_ = o.serviceAccountKeys[0];
  for (const std::string& path : options_.serviceAccountKeyFiles) KM_TRY(readKey(path));
  if (!options_.serviceAccountIssuers.empty()) o.serviceAccountIssuers = options_.serviceAccountIssuers;
  o.apiAudiences = options_.apiAudiences;
  o.tokenAuthFile = options_.tokenAuthFile;
  o.anonymousAuth = options_.anonymousAuth;
  o.serviceClusterIpRange = options_.serviceClusterIpRange;
  o.nodePortRange = options_.nodePortRange;
  o.enableAdmissionPlugins = options_.enableAdmissionPlugins;
  o.disableAdmissionPlugins = options_.disableAdmissionPlugins;
  o.sharedStore = usesEtcd();
  o.storeHealthTimeout = options_.etcdHealthcheckTimeout;
  o.storeReadyTimeout = options_.etcdReadycheckTimeout;
  char* rest = nullptr;
  o.goawayChance = std::strtod(options_.goawayChance.c_str(), &rest);
  if (*rest != 0 || options_.goawayChance.empty() || !(o.goawayChance >= 0 && o.goawayChance <= 0.02)) {
    return errors::badRequest("--goaway-chance can not be less than 0 or greater than 0.02");
  }
  if (options_.shutdownDelay < Duration(0)) return errors::badRequest("--shutdown-delay-duration can not be negative value");
  if (options_.shutdownWatchGrace < Duration(0)) {
    return errors::badRequest("shutdown-watch-termination-grace-period, if provided, can not be a negative value");
  }
  o.shutdownWatchGrace = options_.shutdownWatchGrace;
  o.shutdownSendRetryAfter = options_.shutdownSendRetryAfter;
  o.requestTimeout = options_.requestTimeout;
  o.maxRequestsInflight = options_.maxRequestsInflight;
  o.maxMutatingRequestsInflight = options_.maxMutatingRequestsInflight;

  MetricRegistry::process().addProcessMetrics();
  loops_ = std::make_unique<async::LoopGroup>(2, "km-io");
  pool_ = std::make_unique<client::WorkerPool>(6, "km-work");
  api_ = std::make_shared<apiserver::ApiServer>(std::move(o), *store_, *loops_, *pool_, Clock::system());
  KM_TRY(api_->start());
  KM_TRY(writeKubeconfig());
  Duration interval = usesEtcd() ? options_.etcdCompactionInterval : store::Compactor::kInterval;
  if (interval > Duration(0)) {
    loops_->at(0).post([this, interval] {
      compaction_ = std::make_shared<Compaction>(loops_->at(0), *store_, *pool_, interval, usesEtcd());
      compaction_->schedule();
    });
  }
  logInfo("Serving securely", {{"address", fmt::format("{}:{}", options_.bindAddress, api_->port())}});
  return {};
}

Status ControlPlane::openStore() {
  if (!usesEtcd()) {
    store::EmbeddedOptions o;
    o.directory = options_.dataDir + "/store";
    KM_ASSIGN(store_, store::openEmbedded(o));
    return {};
  }
  KM_ASSIGN(store_, store::openEtcd(etcdOptions(options_)));
  return {};
}

Status ControlPlane::writeKubeconfig() {
  if (options_.writeKubeconfig.empty()) return {};
  KM_ASSIGN(std::string text, readFile(pki_->confPath("admin")));
  return writeFileAtomic(options_.writeKubeconfig, text, 0600);
}

void ControlPlane::hurry() {
  if (store_) store_->hurry();
}

void ControlPlane::awaitEnd() {
  waitForEnd(loops_->at(0));
  api_->failReadiness();
  // Time for load balancers to see it. A second signal ends the process.
  if (options_.shutdownDelay > Duration(0)) std::this_thread::sleep_for(options_.shutdownDelay);
}

void ControlPlane::stop() {
  if (std::exchange(stopped_, true)) return;
  hurry();
  if (api_) api_->stop();
  if (loops_) {
    std::promise<void> cleared;
    loops_->at(0).post([&] {
      if (compaction_) compaction_->stop();
      compaction_.reset();
      cleared.set_value();
    });
    cleared.get_future().wait();
  }
  if (pool_) pool_->stop();
}

ControlPlane::~ControlPlane() {
  stop();
  api_.reset();
  if (loops_) loops_->stop();
  store_.reset();
}

void waitForEnd(async::Loop& loop) {
  struct Waits {
    std::unique_ptr<async::Signals> signals;
    std::unique_ptr<async::Timer> settled;
    int asked = 0;
  };
  auto ended = std::make_shared<std::promise<void>>();
  auto waits = std::make_shared<Waits>();
  loop.post([&loop, ended, waits] {
    waits->signals = std::make_unique<async::Signals>(loop, std::vector<int>{SIGTERM, SIGINT}, [ended, waits = waits.get()](int) {
      if (++waits->asked > 1) ::_exit(1);
      ended->set_value();
    });
    waits->settled = std::make_unique<async::Timer>(loop);
    waits->settled->start(kSettled, [] { releaseStartPages(); });
    // They stay as long as the loop: the second signal ends the process at once.
    loop.track(waits.get(), [waits] {
      waits->signals.reset();
      waits->settled.reset();
    });
  });
  ended->get_future().wait();
}

}  // namespace km
