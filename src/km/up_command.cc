// `km up`: a whole one-node cluster in one process. `km down` and `km reset` are its counterparts.
#include <fmt/format.h>
#include <signal.h>
#include <sys/syscall.h>
#include <poll.h>
#include <unistd.h>

#include "base/files.h"
#include "base/flags.h"
#include "base/log.h"
#include "km/bridge.h"
#include "km/cluster_dns.h"
#include "km/commands.h"
#include "km/data_lock.h"
#include "km/managers.h"
#include "km/node.h"
#include "km/progress.h"
#include "km/reset.h"

namespace km {
namespace {

Status stopKm(const std::string& dataDir) {
  int pid = runningKm(dataDir);
  if (pid <= 0) return {};
  UniqueFd fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (fd.get() < 0) return {};
  ::syscall(SYS_pidfd_send_signal, fd.get(), SIGTERM, nullptr, 0);
  pollfd p{fd.get(), POLLIN, 0};
  if (::poll(&p, 1, 60'000) == 0) return errors::failed(fmt::format("km (pid {}) does not end; see its log", pid));
  return {};
}

authn::UserInfo user(std::string name, std::vector<std::string> groups) {
  authn::UserInfo u;
  u.name = std::move(name);
  u.groups = std::move(groups);
  return u;
}

Status up(ServerCall& call, ControlPlaneOptions options, ManagersOptions managers, NodeOptions node) {
  Progress progress([&call](std::string_view s) { call.answer(s); }, ::isatty(STDOUT_FILENO) != 0);
  KM_ASSIGN(UniqueFd lock, lockData(options.dataDir));
  if (node.nodeName.empty()) node.nodeName = hostName();
  node.dataDir = options.dataDir;
  node.clusterCidr = managers.options.clusterCidr;
  // Without another address the node has the one of its pod bridge: reachable from pods and from this machine only.
  std::string podCidr = node.clusterCidr.substr(0, node.clusterCidr.find('/')) + "/24", bridgeAddress = firstAddress(podCidr);
  if (node.nodeIp.empty()) node.nodeIp = bridgeAddress;
  node.dnsAddress = bridgeAddress;
  // The kubelet of this process shows a certificate of our own authority; those of nodes that join from elsewhere show their own.
  if (node.nodeIp == bridgeAddress && options.kubeletCertificateAuthority.empty()) options.kubeletCertificateAuthority = options.dataDir + "/pki/ca.crt";
  options.nodeName = node.nodeName;
  options.nodeIps = {node.nodeIp};
  options.extraBindAddress = bridgeAddress;
  if (options.advertiseAddress.empty()) options.advertiseAddress = bridgeAddress;
  if (options.writeKubeconfig.empty()) options.writeKubeconfig = options.dataDir + "/kubeconfig";
  std::string kubeconfig = options.writeKubeconfig, serviceRange = options.serviceClusterIpRange;

  progress.begin("network");
  KM_TRY(preparePodNetwork({node.nodeName, node.dataDir, node.bridge}, podCidr));
  KM_TRY(ensureRoute(node.bridge, serviceRange));
  progress.done("network", fmt::format("bridge {} {}", node.bridge, bridgeAddress));
  progress.begin("api server");
  KM_ASSIGN(auto plane, ControlPlane::start(std::move(options)));
  progress.done("api server", plane->serverUrl());
  progress.begin("controllers, scheduler");
  Managers parts(*plane, std::move(managers));
  KM_TRY(parts.start());
  progress.done("controllers, scheduler", "");
  progress.begin("node");
  auto client = plane->api().localClient(user(std::string(authn::kNodePrefix) + node.nodeName, {std::string(authn::kNodes)}), "kubelet");
  auto dnsClient = plane->api().localClient(user("system:kube-dns", {std::string(authn::kMasters)}), "km-dns");
  Node n({plane->loops(), *client, parts.informers(), parts.pool(), parts.timers(), plane->pki().certificatePath("kubelet-server"),
          plane->pki().keyPath("kubelet-server"), plane->pki().certificatePath("ca")},
         node);
  KM_TRY(n.start(progress));
  KM_TRY(publishClusterDns(*dnsClient, node.clusterDns, node.dnsAddress));
  progress.done("node", node.nodeName);
  progress.ready(kubeconfig, n.demoImage());
  plane->awaitEnd();
  progress.note("stopping; containers go on running");
  n.stop();
  parts.stop();
  plane->stop();
  return {};
}

}  // namespace

int runUp(ServerCall& call) {
  ControlPlaneOptions options;
  ManagersOptions managers;
  managers.options.allocateNodeCidrs = true;
  NodeOptions node;
  FlagSet flags(std::string(call.server->name));
  options.addTo(flags);
  managers.addTo(flags);
  node.addTo(flags);
  flags.add(&node.clusterDns, "cluster-dns", "The IP `address` of the cluster's DNS service.");
  if (auto done = parseServerFlags(call, flags)) return *done;
  if (!flags.args().empty()) return finish(call, errors::badRequest("up takes no arguments"));
  return finish(call, up(call, std::move(options), std::move(managers), std::move(node)));
}

int runDown(ServerCall& call) {
  std::string dataDir = "/var/lib/km";
  FlagSet flags(std::string(call.server->name));
  flags.add(&dataDir, "data-dir", "The `directory` of the cluster.");
  if (auto done = parseServerFlags(call, flags)) return *done;
  return finish(call, stopKm(dataDir));
}

int runReset(ServerCall& call) {
  std::string dataDir = "/var/lib/km";
  bool yes = false;
  NodeOptions node;
  FlagSet flags(std::string(call.server->name));
  flags.add(&dataDir, "data-dir", "The `directory` of the cluster.");
  flags.add(&yes, "yes", "Do not ask.");
  node.addTo(flags);
  if (auto done = parseServerFlags(call, flags)) return *done;
  if (!yes) return finish(call, errors::badRequest(fmt::format("this ends every pod and deletes all of {}; say --yes to do it", dataDir)));
  if (Status s = stopKm(dataDir); !s.ok()) return finish(call, s);
  node.dataDir = dataDir;
  return finish(call, resetNode(node, [&call](std::string_view s) { call.answer(s); }));
}

}  // namespace km
