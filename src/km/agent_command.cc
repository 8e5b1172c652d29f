// `km agent`: a node in one process, joined to an API server elsewhere: container runtime, kubelet, service proxy, DNS for its own pods.
#include <fmt/format.h>
#include <unistd.h>

#include "base/files.h"
#include "base/flags.h"
#include "base/log.h"
#include "client/http_client.h"
#include "client/kubeconfig.h"
#include "km/api_connection.h"
#include "km/bridge.h"
#include "km/commands.h"
#include "km/control_plane.h"
#include "km/data_lock.h"
#include "km/node.h"
#include "km/serving_pair.h"

namespace km {
namespace {

// Where pods ask for names: the same on every node, reachable from its own pods only, as NodeLocal DNSCache has it.
constexpr std::string_view kNodeLocalDns = "169.254.20.10";

struct AgentOptions {
  NodeOptions node;
  std::string kubeconfig, proxyKubeconfig, clientCaFile, certificateFile, keyFile, clusterDns;
  std::string serviceRange = "10.96.0.0/16";

  void addTo(FlagSet& flags) {
    flags.add(&node.dataDir, "data-dir", "The `directory` for everything that the node keeps.");
    flags.add(&kubeconfig, "kubeconfig", "Path to a kubeconfig `file` of the node's identity (system:node:NAME in the group system:nodes); see `km kubeconfig`.");
    flags.add(&proxyKubeconfig, "proxy-kubeconfig", "Path to a kubeconfig `file` of the service proxy (system:kube-proxy). Default: the node's.");
    flags.add(&clientCaFile, "client-ca-file", "Requests to the kubelet with a client certificate signed by one of the authorities in the `file` are served. Default: the cluster's authority in the kubeconfig.");
    flags.add(&certificateFile, "tls-cert-file", "`File` with the kubelet's serving certificate. Default: made by the node itself.");
    flags.add(&keyFile, "tls-private-key-file", "`File` with the key of --tls-cert-file.");
    flags.add(&node.clusterCidr, "cluster-cidr", "CIDR `Range` for Pods in cluster.");
    flags.add(&serviceRange, "service-cluster-ip-range", "The `range` of the cluster IPs of services.");
    flags.add(&clusterDns, "cluster-dns", fmt::format("The IP `address` that pods ask for names. Default: the agent answers them itself, on {}.", kNodeLocalDns));
    node.addTo(flags);
  }
};

// A key and a certificate of the node's own, kept in <data-dir>/pki under the names that a kubelet gives them.
Status ensureOwnPair(AgentOptions& o) {
  if (o.certificateFile.empty() != o.keyFile.empty()) return errors::badRequest("--tls-cert-file and --tls-private-key-file go together");
  if (!o.certificateFile.empty()) return {};
  KM_ASSIGN(ServingPair pair, ensureServingPair(o.node.dataDir + "/pki", o.node.nodeName, {o.node.nodeIp}));
  o.certificateFile = pair.certificateFile;
  o.keyFile = pair.keyFile;
  return {};
}

// The authority that vouches for the API server also vouches for who may ask the kubelet.
Status ensureClientCa(AgentOptions& o, const client::RestConfig& config) {
  if (!o.clientCaFile.empty()) return {};
  if (config.caData.empty()) {
    o.clientCaFile = config.caFile;
    return {};
  }
  o.clientCaFile = o.node.dataDir + "/pki/ca.crt";
  KM_TRY(makeDirs(o.node.dataDir + "/pki", 0700));
  return writeFileAtomic(o.clientCaFile, config.caData, 0644);
}

Status agent(ServerCall& call, AgentOptions o) {
  if (o.kubeconfig.empty()) return errors::badRequest("--kubeconfig is needed");
  if (o.node.dataDir.empty()) return errors::badRequest("--data-dir is needed");
  if (o.node.nodeName.empty()) o.node.nodeName = hostName();
  if (o.node.nodeIp.empty()) o.node.nodeIp = hostAddress();
  if (o.node.nodeIp.empty()) return errors::badRequest("this machine has no address that others can reach; say --node-ip");
  if (o.proxyKubeconfig.empty()) o.proxyKubeconfig = o.kubeconfig;
  Progress progress([&call](std::string_view s) { call.answer(s); }, ::isatty(STDOUT_FILENO) != 0);
  KM_ASSIGN(UniqueFd lock, lockData(o.node.dataDir));
  KM_ASSIGN(auto config, client::loadKubeconfig(o.kubeconfig));
  KM_TRY(ensureOwnPair(o));
  KM_TRY(ensureClientCa(o, config));
  progress.begin("network");
  if (o.clusterDns.empty()) o.node.dnsAddress = std::string(kNodeLocalDns);
  o.node.clusterDns = o.clusterDns.empty() ? o.node.dnsAddress : o.clusterDns;
  KM_TRY(ensureBridge(o.node.bridge, std::string(kNodeLocalDns), 32));
  KM_TRY(ensureRoute(o.node.bridge, o.serviceRange));
  progress.done("network", fmt::format("bridge {}, node {}", o.node.bridge, o.node.nodeIp));
  KM_ASSIGN(auto kubelet, ApiConnection::open(o.kubeconfig, "", "kubelet"));
  KM_ASSIGN(auto proxy, ApiConnection::open(o.proxyKubeconfig, "", "kube-proxy"));
  async::LoopGroup loops(2, "km-io");
  {
    Node node({loops, *kubelet->client, *proxy->informers, proxy->pool, proxy->timers, o.certificateFile, o.keyFile, o.clientCaFile}, o.node);
    KM_TRY(node.start(progress));
    progress.done("node", o.node.nodeName);
    progress.note("The node has joined.\n");
    waitForEnd(loops.at(0));
    progress.note("stopping; containers go on running");
    node.stop();
  }
  proxy->close();
  kubelet->close();
  loops.stop();
  return {};
}

}  // namespace

int runAgent(ServerCall& call) {
  AgentOptions options;
  options.node.dataDir = "/var/lib/km";
  FlagSet flags(std::string(call.server->name));
  options.addTo(flags);
  if (auto done = parseServerFlags(call, flags)) return *done;
  if (!flags.args().empty()) return finish(call, errors::badRequest("agent takes no arguments"));
  return finish(call, agent(call, std::move(options)));
}

}  // namespace km
