#include "base/flags.h"
#include "km/base_flags.h"
#include "km/commands.h"
#include "km/server_table.h"

namespace km {
namespace {

int runVersion(ServerCall& call) {
  FlagSet flags(std::string(call.server->name));
  if (auto done = parseServerFlags(call, flags)) return *done;
  if (!flags.args().empty()) return finish(call, errors::badRequest("version takes no arguments"));
  call.answer(BaseFlags{}.versionText());
  return 0;
}

}  // namespace

std::span<const Server> allServers() {
  static const std::vector<Server> kServers = {
      {.name = "apiserver",
       .aliases = {"kube-apiserver"},
       .oneLine = "Serve the Kubernetes API",
       .help = "The main API entrypoint and interface to the storage system. The API server is also the focal point for all "
               "authorization decisions.",
       .run = runApiServer},
      {.name = "proxy",
       .aliases = {"kube-proxy"},
       .oneLine = "Send the traffic of services to their endpoints on this node",
       .help = "The network proxy runs on each node. It reflects services as defined in the Kubernetes API on each node, by "
               "rules of the kernel's nftables.",
       .run = runProxy},
      {.name = "dns",
       .aliases = {},
       .oneLine = "Answer the names of services",
       .help = "The name server of the cluster: answers for services and their endpoints, and sends everything else on.",
       .run = runDns},
      {.name = "version",
       .aliases = {},
       .oneLine = "Print the version",
       .help = "Prints the version of Kubernetes that this program speaks.",
       .run = runVersion,
       .link = false},
  };
  return kServers;
}

}  // namespace km
