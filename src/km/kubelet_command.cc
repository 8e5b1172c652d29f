#include <sys/prctl.h>
#include <linux/capability.h>
#include <unistd.h>

#include "async/loop.h"
#include "base/flags.h"
#include "base/log.h"
#include "base/strings.h"
#include "client/http_client.h"
#include "client/kubeconfig.h"
#include "kubelet/kubelet.h"
#include "km/commands.h"
#include "km/control_plane.h"
#include "km/serving_pair.h"

namespace km {
namespace {

struct KubeletFlags {
  kubelet::Options options;
  std::string kubeconfig, hostname, certDir = "/var/lib/kubelet/pki", runtimeEndpoint = "unix:///run/containerd/containerd.sock";

  void addTo(FlagSet& flags) {
    flags.add(&kubeconfig, "kubeconfig", "Path to a kubeconfig `file`, specifying how to connect to the API server.");
    flags.add(&options.rootDir, "root-dir", "`Directory` path for managing kubelet files (volume mounts, etc).");
    flags.add(&options.podLogsDir, "pod-logs-dir", "`Directory` for the logs of pods.");
    flags.add(&options.containerLogsDir, "container-logs-dir", "`Directory` for links to the logs of containers.");
    flags.add(&options.nodeIp, "node-ip", "IP `address` of the node.");
    flags.add(&hostname, "hostname-override", "If non-empty, will use this `string` as identification instead of the actual hostname.");
    flags.add(&runtimeEndpoint, "container-runtime-endpoint", "The `endpoint` of container runtime service.");
    flags.add(&options.clusterDns, "cluster-dns", "DNS server IP `addresses` for pods with dnsPolicy=ClusterFirst.");
    flags.add(&options.clusterDomain, "cluster-domain", "`Domain` for this cluster.");
    flags.add(&options.resolvConf, "resolv-conf", "Resolver configuration `file` used as the basis for the container DNS resolution configuration.");
    flags.add(&options.tlsCertFile, "tls-cert-file", "`File` containing x509 Certificate used for serving HTTPS.");
    flags.add(&options.tlsPrivateKeyFile, "tls-private-key-file", "`File` containing x509 private key matching --tls-cert-file.");
    flags.add(&certDir, "cert-dir", "The `directory` where the TLS certs are located. Without --tls-cert-file and --tls-private-key-file a certificate is made here.");
    flags.add(&options.clientCaFile, "client-ca-file", "Requests with a client certificate signed by one of the authorities in the `file` are served.");
    flags.add(&options.cgroupDriver, "cgroup-driver", "Driver that the kubelet uses to manipulate cgroups on the host: cgroupfs.");
    flags.add(&options.bindAddress, "address", "The IP `address` for the kubelet to serve on.");
    flags.addInt(&options.port, "port", "The `port` for the kubelet to serve on.");
    flags.addInt(&options.maxPods, "max-pods", "`Number` of pods that can run on this kubelet.");
    flags.add(&options.registerNode, "register-node", "Register the node with the apiserver.");
    flags.add(&options.nodeLabels, "node-labels", "`Labels` to add when registering the node in the cluster.");
  }
};

bool lacksSysResource() { return ::prctl(PR_CAPBSET_READ, CAP_SYS_RESOURCE) == 0; }

Status run(KubeletFlags flags, async::Loop& loop) {
  if (flags.options.cgroupDriver != "cgroupfs") return errors::badRequest("the only cgroup driver is cgroupfs");
  if (flags.kubeconfig.empty()) return errors::badRequest("--kubeconfig is needed");
  kubelet::Options& o = flags.options;
  char name[256] = "";
  ::gethostname(name, sizeof name - 1);
  o.nodeName = toLower(trimSpace(flags.hostname.empty() ? std::string_view(name) : std::string_view(flags.hostname)));
  if (o.nodeIp.empty()) o.nodeIp = hostAddress();
  if (o.tlsCertFile.empty() && o.tlsPrivateKeyFile.empty()) {
    KM_ASSIGN(ServingPair pair, ensureServingPair(flags.certDir, o.nodeName, {o.nodeIp}));
    o.tlsCertFile = pair.certificateFile;
    o.tlsPrivateKeyFile = pair.keyFile;
  }
  o.restrictOomScoreAdj = lacksSysResource();
  KM_ASSIGN(auto config, client::loadKubeconfig(flags.kubeconfig));
  config.userAgent = "kubelet";
  KM_ASSIGN(auto api, client::makeHttpClient(loop, config));
  client::WorkerPool pool(4, "kubelet");
  client::Timers timers;
  auto runtime = cri::connectRuntime(loop, flags.runtimeEndpoint);
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
  if (!flags.args().empty()) return finish(call, errors::badRequest("kubelet takes no arguments"));
  async::Loop loop;
  loop.start("km-io");
  Status s = run(std::move(options), loop);
  loop.stop();
  loop.join();
  return finish(call, s);
}

}  // namespace km
