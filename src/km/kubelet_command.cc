#include <fmt/format.h>
#include <linux/capability.h>
#include <sys/prctl.h>

#include "async/loop.h"
#include "base/files.h"
#include "base/flags.h"
#include "base/log.h"
#include "base/strings.h"
#include "client/http_client.h"
#include "client/kubeconfig.h"
#include "km/commands.h"
#include "km/control_plane.h"
#include "km/data_lock.h"
#include "km/kubelet_certificates.h"
#include "km/kubelet_settings.h"
#include "km/part_server.h"
#include "km/serving_pair.h"
#include "kubelet/kubelet.h"

namespace km {
namespace {

// The flags that are no fields of KubeletConfiguration, and the configuration.
struct KubeletFlags {
  kubelet::Options options;
  ComponentConfig config{kKubeletConfig};
  std::string kubeconfig, bootstrapKubeconfig, hostname, certDir = "/var/lib/kubelet/pki", configFile, configDir;

  void addTo(FlagSet& flags) {
    flags.add(&kubeconfig, "kubeconfig", "Path to a kubeconfig `file`, specifying how to connect to the API server.");
    flags.add(&bootstrapKubeconfig, "bootstrap-kubeconfig", "Path to a kubeconfig `file` that will be used to get client certificate for kubelet, where --kubeconfig is missing or has expired.");
    flags.add(&configFile, "config", "The `file` of the kubelet's configuration (KubeletConfiguration). Flags win over it.");
    flags.add(&configDir, "config-dir", "A `directory` of drop-ins, *.conf, laid over the configuration in the order of their names.");
    flags.add(&options.rootDir, "root-dir", "`Directory` path for managing kubelet files (volume mounts, etc).");
    flags.add(&options.containerLogsDir, "container-logs-dir", "`Directory` for links to the logs of containers.");
    flags.add(&options.nodeIp, "node-ip", "IP `address` of the node.");
    flags.add(&hostname, "hostname-override", "If non-empty, will use this `string` as identification instead of the actual hostname.");
    flags.add(&certDir, "cert-dir", "The `directory` where the TLS certs are located. Without --tls-cert-file and --tls-private-key-file a certificate is made here.");
    flags.add(&options.nodeLabels, "node-labels", "`Labels` to add when registering the node in the cluster.");
    config.addFlags(flags);
  }

  Status readConfig() {
    if (!configFile.empty()) {
      if (Status s = config.load(configFile); !s.ok()) {
        return errors::badRequest(fmt::format("failed to load kubelet config file, path: {0}, error: failed to load Kubelet config file {0}, error {1}", configFile, s.message()));
      }
    }
    if (!configDir.empty()) {
      if (Status s = config.mergeDirectory(configDir); !s.ok()) return errors::badRequest("failed to merge kubelet configs: " + s.message());
    }
    config.applyFlags();
    return validateKubeletConfig(config);
  }
};

bool lacksSysResource() { return ::prctl(PR_CAPBSET_READ, CAP_SYS_RESOURCE) == 0; }

// What the runtime says of cgroups counts for more than the configuration, as upstream has it.
Status settleCgroups(kubelet::Options& o, cri::Runtime& runtime) {
  if (auto told = runtime.cgroupDriver(); told.ok() && *told != o.cgroupDriver) {
    KM_LOG(INFO, "the runtime's cgroup driver is {}, not {} as configured", *told, o.cgroupDriver);
    o.cgroupDriver = *told;
  }
  if (o.cgroupDriver == "cgroupfs") return {};
  return errors::badRequest("the cgroup driver systemd is not supported: set cgroupDriver (--cgroup-driver) and the runtime to cgroupfs");
}

// With serverTLSBootstrap the port is served under a certificate of the node's own until the cluster has signed one.
Status ensureFirstServing(KubeletFlags& f) {
  kubelet::Options& o = f.options;
  CertificateStore store(f.certDir, "kubelet-server");
  o.tlsCertFile = o.tlsPrivateKeyFile = store.currentPath();
  if (store.current().ok()) return {};
  KM_ASSIGN(ServingPair pair, ensureServingPair(f.certDir, o.nodeName, {o.nodeIp}));
  KM_ASSIGN(std::string certificate, readFile(pair.certificateFile));
  KM_ASSIGN(std::string pem, readFile(pair.keyFile));
  KM_ASSIGN(pki::Key key, pki::Key::fromPem(pem));
  return store.update(certificate, key);
}

// The certificates that the cluster renews for this node.
struct Rotations {
  std::unique_ptr<CertificateRotation> client, serving;

  Rotations(const KubeletFlags& f, client::Client& api) {
    const kubelet::Options& o = f.options;
    CertificateStore clientStore(f.certDir, "kubelet-client"), servingStore(f.certDir, "kubelet-server");
    // As upstream: only where the present certificate came from the cluster this way.
    if (auto pair = clientStore.current(); f.config.boolean("rotateCertificates") && pair.ok()) {
      client = std::make_unique<CertificateRotation>(api, clientStore, nodeClientRequest(o.nodeName, pair->key));
    }
    if (f.config.boolean("serverTLSBootstrap") && o.tlsCertFile == servingStore.currentPath()) {
      serving = std::make_unique<CertificateRotation>(api, servingStore, nodeServingRequest(o.nodeName, {o.nodeIp}));
    }
  }
};

Status prepare(KubeletFlags& f) {
  KM_TRY(f.readConfig());
  kubelet::Options& o = f.options;
  KM_TRY(applyKubeletConfig(f.config, o));
  f.config.tellNotices();
  if (f.config.isSet("logging.verbosity")) setVerbosity(static_cast<int>(f.config.integer("logging.verbosity")));
  if (f.kubeconfig.empty()) return errors::badRequest("--kubeconfig is needed");
  if (f.config.boolean("failSwapOn") && swapIsOn()) {
    return errors::failed("running with swap on is not supported, please disable swap or set --fail-swap-on flag to false");
  }
  o.nodeName = f.hostname.empty() ? hostName() : toLower(trimSpace(f.hostname));
  if (o.nodeIp.empty()) o.nodeIp = hostAddress();
  o.restrictOomScoreAdj = lacksSysResource();
  if (o.tlsCertFile.empty() && o.tlsPrivateKeyFile.empty()) {
    if (f.config.boolean("serverTLSBootstrap")) {
      KM_TRY(ensureFirstServing(f));
      return {};
    }
    KM_ASSIGN(ServingPair pair, ensureServingPair(f.certDir, o.nodeName, {o.nodeIp}));
    o.tlsCertFile = pair.certificateFile;
    o.tlsPrivateKeyFile = pair.keyFile;
  }
  return {};
}

Status run(KubeletFlags& flags, async::LoopGroup& loops) {
  KM_TRY(prepare(flags));
  kubelet::Options& o = flags.options;
  async::Loop& loop = loops.at(0);
  if (!flags.bootstrapKubeconfig.empty()) {
    // A signal ends the process while this waits: nothing has begun that would have to be put in order.
    KM_TRY(bootstrapKubelet(loop, {flags.kubeconfig, flags.bootstrapKubeconfig, flags.certDir, o.nodeName}, {}));
  }
  KM_ASSIGN(auto config, client::loadKubeconfig(flags.kubeconfig));
  config.userAgent = "kubelet";
  KM_ASSIGN(auto api, client::makeHttpClient(loop, config));
  client::WorkerPool pool(4, "kubelet");
  client::Timers timers;
  auto runtime = cri::connectRuntime(loop, flags.config.text("containerRuntimeEndpoint"));
  KM_TRY(settleCgroups(o, *runtime));
  std::unique_ptr<PartServer> health;
  if (int64_t port = flags.config.integer("healthzPort"); port > 0) {
    std::string address = flags.config.text("healthzBindAddress");
    bool v6 = address.find(':') != std::string::npos;
    KM_ASSIGN(health, PartServer::plain(fmt::format(fmt::runtime(v6 ? "[{}]:{}" : "{}:{}"), address, port), loops, {"/healthz"}, {}));
  }
  client::EventBroadcaster events(*api, pool, timers);
  kubelet::Kubelet kubelet(o, *api, pool, timers, loop, *runtime, events.recorder("kubelet", o.nodeName));
  KM_TRY(kubelet.start());
  logInfo("Started kubelet", {{"node", o.nodeName}});
  {
    Rotations rotations(flags, *api);
    waitForEnd(loop);
  }
  kubelet.stop();
  events.stop();
  timers.stop();
  pool.stop();
  return {};
}

}  // namespace

int runKubelet(ServerCall& call) {
  KubeletFlags options;
  FlagSet flags(std::string(call.server->name));
  options.addTo(flags);
  if (auto done = parseServerFlags(call, flags)) return *done;
  if (!flags.args().empty()) return finish(call, errors::badRequest("unknown command " + flags.args()[0]));
  async::LoopGroup loops(1, "km-io");
  Status s = run(options, loops);
  loops.stop();
  return finish(call, s);
}

}  // namespace km
