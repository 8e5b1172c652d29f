#include <unistd.h>

#include "base/flags.h"
#include "base/log.h"
#include "base/strings.h"
#include "km/api_connection.h"
#include "km/commands.h"
#include "km/control_plane.h"
#include "km/part_server.h"
#include "proxy/proxy.h"

namespace km {

int runProxy(ServerCall& call) {
  proxy::Options options;
  std::string kubeconfig, master, config, mode = "nftables", hostname;
  // Upstream's health port is open to all; here nothing listens beyond loopback unasked.
  std::string health = "127.0.0.1:10256", metrics = "127.0.0.1:10249";
  bool cleanup = false;
  FlagSet flags(std::string(call.server->name));
  flags.add(&kubeconfig, "kubeconfig", "Path to kubeconfig file with authorization information (the master location can be overridden by the master flag).");
  flags.add(&master, "master", "The address of the Kubernetes API server (overrides any value in kubeconfig)");
  flags.add(&options.clusterCidr, "cluster-cidr", "The CIDR range of the pods in the cluster, for one or two families. Traffic from elsewhere to the cluster IPs of services is masqueraded.");
  flags.add(&hostname, "hostname-override", "If non-empty, will be used as the name of the Node that kube-proxy is running on.");
  flags.add(&options.nodeIps, "nodeport-addresses", "A list of addresses on which NodePort services answer; empty: all local ones.");
  flags.add(&options.masqueradeAll, "masquerade-all", "SNAT all traffic sent via Service cluster IPs.");
  flags.add(&options.minSyncPeriod, "nftables-min-sync-period", "The minimum period between two changes of the rules.");
  flags.add(&health, "healthz-bind-address", "The IP `address` and port for the health check server to serve on. Set empty to disable.");
  flags.add(&metrics, "metrics-bind-address", "The IP `address` and port for the metrics server to serve on. Set empty to disable.");
  flags.add(&mode, "proxy-mode", "Which proxy mode to use: only 'nftables'.");
  flags.add(&cleanup, "cleanup", "If true cleanup the rules and exit.");
  flags.add(&config, "config", "The path to the configuration file: not supported, use flags.");
  if (auto done = parseServerFlags(call, flags)) return *done;
  if (!flags.args().empty()) return finish(call, errors::badRequest("proxy takes no arguments"));
  if (!config.empty()) return finish(call, errors::badRequest("--config is not supported; use flags"));
  if (mode != "nftables") return finish(call, errors::badRequest("--proxy-mode " + mode + " is not supported; nftables is"));
  if (cleanup) return finish(call, proxy::Proxy::cleanup(options.tableName));
  for (const auto& address : options.nodeIps) {
    if (contains(address, "/")) return finish(call, errors::badRequest("--nodeport-addresses takes addresses, no ranges"));
  }
  char name[256] = {};
  if (hostname.empty() && gethostname(name, sizeof name - 1) == 0) hostname = name;
  options.nodeName = toLower(trimSpace(hostname));
  auto api = ApiConnection::open(kubeconfig, master, "kube-proxy");
  if (!api.ok()) return finish(call, api.status());
  auto healthServer = PartServer::plain(health, (*api)->loops, {"/healthz", "/livez"}, {});
  if (!healthServer.ok()) return finish(call, healthServer.status());
  auto metricsServer = PartServer::plain(metrics, (*api)->loops, {"/metrics", "/healthz"}, {});
  if (!metricsServer.ok()) return finish(call, metricsServer.status());
  {
    proxy::Proxy proxy(std::move(options), *(*api)->informers, (*api)->pool, (*api)->timers);
    if (Status started = proxy.start(); !started.ok()) return finish(call, started);
    (*api)->informers->start();
    waitForEnd((*api)->loops.at(0));
  }
  return 0;
}

}  // namespace km
