#include "base/flags.h"
#include "dns/server.h"
#include "km/api_connection.h"
#include "km/commands.h"
#include "km/control_plane.h"

namespace km {

int runDns(ServerCall& call) {
  dns::Options options;
  std::string kubeconfig, master, config;
  FlagSet flags(std::string(call.server->name));
  flags.add(&kubeconfig, "kubeconfig", "Path to kubeconfig file with authorization information.");
  flags.add(&master, "master", "The address of the Kubernetes API server (overrides any value in kubeconfig)");
  flags.add(&options.listenAddresses, "bind-address", "The addresses to answer on; an empty one means all.");
  flags.addInt(&options.port, "port", "The port to answer on, by UDP and TCP.");
  flags.add(&options.clusterDomain, "cluster-domain", "The domain of the cluster.");
  flags.add(&options.upstreams, "upstream", "Name servers for everything else; empty: those of /etc/resolv.conf.");
  flags.add(&config, "config", "The path to the configuration file: not supported, use flags.");
  if (auto done = parseServerFlags(call, flags)) return *done;
  if (!flags.args().empty()) return finish(call, errors::badRequest("dns takes no arguments"));
  if (!config.empty()) return finish(call, errors::badRequest("--config is not supported; use flags"));
  auto api = ApiConnection::open(kubeconfig, master, "km-dns");
  if (!api.ok()) return finish(call, api.status());
  {
    dns::Server server(std::move(options), *(*api)->informers, (*api)->loops.at(0));
    if (Status started = server.start(); !started.ok()) return finish(call, started);
    (*api)->informers->start();
    waitForEnd((*api)->loops.at(0));
    server.stop();
  }
  return 0;
}

}  // namespace km
