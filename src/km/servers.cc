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
      {.name = "up",
       .aliases = {},
       .oneLine = "Run a whole cluster on this machine",
       .help = "Runs a whole one-node cluster in one process: control plane, kubelet over containerd, service proxy and DNS.",
       .run = runUp,
       .link = false},
      {.name = "down",
       .aliases = {},
       .oneLine = "Stop the cluster that `up` started; containers go on running",
       .help = "Ends the km that runs on the data directory. Containers and rules stay, and the next `km up` takes them over.",
       .run = runDown,
       .link = false},
      {.name = "reset",
       .aliases = {},
       .oneLine = "Stop the cluster and remove everything of it",
       .help = "Ends every pod and removes mounts, rules, interfaces, cgroups and the data directory.",
       .run = runReset,
       .link = false},
      {.name = "status",
       .aliases = {},
       .oneLine = "Say whether a cluster runs on the data directory",
       .help = "Says whether km runs on the data directory, and how much memory it holds. With --watch it shows nodes, pods and warnings like top.",
       .run = runStatus,
       .link = false},
      {.name = "apiserver",
       .aliases = {"kube-apiserver"},
       .oneLine = "Serve the Kubernetes API",
       .help = "The main API entrypoint and interface to the storage system. The API server is also the focal point for all "
               "authorization decisions.",
       .run = runApiServer},
      {.name = "kubelet",
       .aliases = {},
       .oneLine = "Run the pods of a node",
       .help = "The primary node agent: it registers the node with the API server and runs the pods bound to it by a container runtime.",
       .run = runKubelet},
      {.name = "server",
       .aliases = {},
       .oneLine = "Run the control plane: API server, controllers and scheduler",
       .help = "Runs the whole control plane in one process: the API server on its embedded store, the controllers and the scheduler.",
       .run = runServer},
      {.name = "agent",
       .aliases = {},
       .oneLine = "Run a node that joins a cluster: kubelet, proxy and DNS for its pods",
       .help = "Runs a node in one process and joins it to the API server of a kubeconfig: kubelet over containerd, service proxy, and DNS "
               "for the node's own pods.",
       .run = runAgent},
      {.name = "controller-manager",
       .aliases = {"kube-controller-manager"},
       .oneLine = "Run the controllers",
       .help = "The Kubernetes controller manager is a daemon that embeds the core control loops shipped with Kubernetes.",
       .run = runControllerManager},
      {.name = "scheduler",
       .aliases = {"kube-scheduler"},
       .oneLine = "Give each waiting pod a node",
       .help = "The Kubernetes scheduler is a control plane process which assigns Pods to Nodes.",
       .run = runScheduler},
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
      {.name = "kubeconfig",
       .aliases = {},
       .oneLine = "Print a kubeconfig of a new client certificate",
       .help = "Prints a kubeconfig of a new client certificate, signed by the authority in the data directory: for nodes that join, and for users.",
       .run = runKubeconfig,
       .link = false},
      {.name = "backup",
       .aliases = {},
       .oneLine = "Write the store of a stopped cluster to a file",
       .help = "Writes everything that the embedded store in the data directory holds to a file, with checksums. The cluster must not run.",
       .run = runBackup,
       .link = false},
      {.name = "restore",
       .aliases = {},
       .oneLine = "Make the store from a file that `backup` wrote",
       .help = "Makes the embedded store in the data directory from a file that `backup` wrote. A store that is there, damaged or not, is moved "
               "aside. The cluster must not run.",
       .run = runRestore,
       .link = false},
      {.name = "hollow-node",
       .aliases = {},
       .oneLine = "Pretend to be many nodes, for measuring a control plane",
       .help = "Runs as many kubelets as --count says in one process, each over a container runtime in memory: nodes register and renew their leases, "
               "pods are Running and Ready within moments, and nothing runs.",
       .run = runHollowNode,
       .link = false},
      {.name = "store",
       .aliases = {},
       .oneLine = "Copy a store: from a data directory to an etcd, or back",
       .help = "`store copy` copies everything that a store holds into another one, each the embedded store of a data directory or an etcd. "
               "No km may run on either. It refuses a target that holds something, and counts at the end. Objects get new resourceVersions, "
               "higher than all before.",
       .run = runStore,
       .link = false},
      {.name = "images",
       .aliases = {},
       .oneLine = "Import image archives into the node's runtime",
       .help = "`images import ARCHIVE...` puts images into the containerd of this node, where no registry is at hand: tar files made by "
               "`docker save` or of an OCI layout. `images own` puts in what km is made with: pause and busybox.",
       .run = runImages,
       .link = false},
      {.name = "install",
       .aliases = {},
       .oneLine = "Make a systemd unit of a server",
       .help = "`install [flags] [SERVER] [the server's flags]` writes a systemd unit that runs the server (default: up), and starts it. With "
               "--remove the unit goes, with --print it is only shown.",
       .run = runInstall,
       .link = false},
      {.name = "completion",
       .aliases = {},
       .oneLine = "Print a completion script for a shell",
       .help = "Prints a script that completes servers and flags: `source <(km completion bash)`, also for zsh and fish.",
       .run = runCompletion,
       .link = false},
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
