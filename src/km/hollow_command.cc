// `km hollow-node`: many nodes in one process that only pretend. Each is a kubelet as every node has one, over a runtime in memory; they share
// connections, threads and what they all watch. For measuring a control plane with more nodes than there are machines.
#include <fmt/format.h>

#include "api/types/core_v1.h"
#include "base/flags.h"
#include "base/log.h"
#include "client/events.h"
#include "km/api_connection.h"
#include "km/commands.h"
#include "km/control_plane.h"
#include "kubelet/elastic_pool.h"
#include "kubelet/hollow_runtime.h"
#include "kubelet/kubelet.h"

namespace km {
namespace {

// What a kubelet's lease takes: nodes that start evenly within it renew evenly ever after.
constexpr auto kLeasePeriod = std::chrono::seconds(10);
constexpr int kMaxNodes = 1 << 16;

struct HollowFlags {
  std::string kubeconfig, master, prefix = "hollow-", memory = "256Gi";
  int count = 1, first = 0, cpus = 32, maxPods = 110, threads = 128;
  std::map<std::string, std::string> labels;

  void addTo(FlagSet& flags) {
    flags.add(&kubeconfig, "kubeconfig", "Path to a kubeconfig `file` of an identity that may be all of the nodes (system:masters).");
    flags.add(&master, "master", "The address of the Kubernetes API server (overrides any value in kubeconfig).");
    flags.add(&prefix, "name-prefix", "What the nodes' `names` begin with; a number follows.");
    flags.addInt(&count, "count", "`Number` of nodes.");
    flags.addInt(&first, "first", "The `number` of the first node.");
    flags.add(&labels, "node-labels", "`Labels` to add when registering the nodes in the cluster.");
    flags.addInt(&cpus, "cpus", "`Number` of processors that each node says it has.");
    flags.add(&memory, "memory", "The memory (`quantity`) that each node says it has.");
    flags.addInt(&maxPods, "max-pods", "`Number` of pods that can run on each node.");
    flags.addInt(&threads, "threads", "`Number` of threads that work for all nodes together.");
  }
};

struct HollowNode {
  std::unique_ptr<kubelet::HollowRuntime> runtime;
  std::unique_ptr<kubelet::Kubelet> kubelet;
};

Status hollow(HollowFlags f) {
  if (f.kubeconfig.empty() && f.master.empty()) return errors::badRequest("--kubeconfig is needed");
  if (f.count < 1 || f.first < 0 || f.first + f.count > kMaxNodes) return errors::badRequest(fmt::format("--count: there can be 1 to {} nodes", kMaxNodes));
  auto memory = codec::Quantity::parse(f.memory);
  if (!memory.ok()) return errors::badRequest(fmt::format("--memory: {} is no quantity", f.memory));
  KM_ASSIGN(auto api, ApiConnection::open(f.kubeconfig, f.master, "kubelet", 4));
  kubelet::ElasticPool pool(f.threads);
  client::EventBroadcaster events(*api->client, api->pool, api->timers);
  kubelet::SharedParts shared;
  shared.pool = &pool;
  shared.services = &api->informers->of<api::core_v1::Service>();
  api->informers->start();

  kubelet::Options o;
  o.hollow.emplace();
  o.hollow->cpus = f.cpus;
  o.hollow->memory = memory->value();
  o.podCgroups = false;
  o.port = -1;
  o.rootDir = o.podLogsDir = "/nowhere";
  o.containerLogsDir.clear();
  o.maxPods = f.maxPods;
  o.nodeLabels = f.labels;
  std::vector<HollowNode> nodes(static_cast<size_t>(f.count));
  for (int i = 0; i < f.count; i++) {
    int number = f.first + i;
    o.nodeName = fmt::format("{}{}", f.prefix, number);
    o.nodeIp = fmt::format("10.{}.{}.1", 64 + (number >> 8), number & 255);
    HollowNode& n = nodes[static_cast<size_t>(i)];
    n.runtime = std::make_unique<kubelet::HollowRuntime>(Clock::system(), static_cast<uint32_t>(number));
    n.kubelet = std::make_unique<kubelet::Kubelet>(o, *api->client, api->pool, api->timers, api->loops.at(0), *n.runtime,
                                                   events.recorder("kubelet", o.nodeName), shared);
    kubelet::Kubelet* k = n.kubelet.get();
    api->timers.after(Duration(kLeasePeriod) * i / f.count, [&pool, k] {
      pool.post([k] {
        if (Status s = k->start(); !s.ok()) KM_LOG(ERROR, "a hollow node does not start: {}", s.message());
      });
    });
  }
  logInfo("Started hollow nodes", {{"count", std::to_string(f.count)}, {"first", fmt::format("{}{}", f.prefix, f.first)}});
  waitForEnd(api->loops.at(0));
  for (HollowNode& n : nodes) n.kubelet->stop();
  pool.stop();
  events.stop();
  nodes.clear();
  api->close();
  return {};
}

}  // namespace

int runHollowNode(ServerCall& call) {
  HollowFlags options;
  FlagSet flags(std::string(call.server->name));
  options.addTo(flags);
  if (auto done = parseServerFlags(call, flags)) return *done;
  if (!flags.args().empty()) return finish(call, errors::badRequest("hollow-node takes no arguments"));
  return finish(call, hollow(std::move(options)));
}

}  // namespace km
