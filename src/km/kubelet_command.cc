#include <fmt/format.h>
#include <linux/capability.h>
#include <sys/prctl.h>

#include "async/loop.h"
#include "base/flags.h"
#include "base/log.h"
#include "base/strings.h"
#include "client/http_client.h"
#include "client/kubeconfig.h"
#include "km/commands.h"
#include "km/control_plane.h"
#include "km/data_lock.h"
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
  std::string kubeconfig, hostname, certDir = "/var/lib/kubelet/pki", configFile, configDir;

  void addTo(FlagSet& flags) {
    flags.add(&kubeconfig, "kubeconfig", "Path to a kubeconfig `file`, specifying how to connect to the API server.");
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
  waitForEnd(loop);
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
