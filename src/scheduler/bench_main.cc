// scheduler_bench basic|spread|anti-affinity [NODES [INIT [PODS]]]: the scheduler's core under the loads of
// upstream's scheduler_perf, without an API server. A binding is answered at once, and the bound pod comes
// back as the informer would bring it. Prints one JSON line; the time is the CPU time of the thread in the
// core.
#include <fmt/format.h>
#include <sys/resource.h>
#include <time.h>

#include <cstdlib>
#include <string>

#include "scheduler/config.h"
#include "scheduler/core.h"

namespace km::scheduler {
namespace {

using api::core_v1::Node;
using api::core_v1::Pod;

double cpuSeconds() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

double residentMb() {
  rusage r;
  getrusage(RUSAGE_SELF, &r);
  return static_cast<double>(r.ru_maxrss) / 1024;
}

class Answering : public Writer {
 public:
  void bind(PodPtr pod, std::string node, std::vector<Plugin*>) override {
    bound.emplace_back(std::move(pod), std::move(node));
  }
  void reportFailure(PodPtr, std::string_view, const std::string& message,
                     std::optional<std::string>) override {
    failures++;
    last = message;
  }
  void clearNomination(PodPtr) override {}
  void evict(std::vector<PodPtr>, PodPtr, std::string) override {}

  std::vector<std::pair<PodPtr, std::string>> bound;
  size_t failures = 0;
  std::string last;
};

codec::Quantity quantity(const char* text) {
  return *codec::Quantity::parse(text);
}

api::ObjectPtr makeNode(int i) {
  Node n;
  n.metadata.name = fmt::format("scheduler-perf-{:05}", i);
  n.metadata.uid = n.metadata.name;
  n.metadata.labels["kubernetes.io/hostname"] = n.metadata.name;
  n.metadata.labels["topology.kubernetes.io/zone"] = fmt::format("moon-{}", i % 3 + 1);
  for (auto* list : {&n.status.capacity, &n.status.allocatable}) {
    (*list)["pods"] = quantity("110");
    (*list)["cpu"] = quantity("4");
    (*list)["memory"] = quantity("32Gi");
  }
  return api::Object::of(std::move(n));
}

api::ObjectPtr makePod(const std::string& load, int i, bool first) {
  Pod p;
  p.metadata.name = fmt::format("pod-{}", i);
  p.metadata.namespace_ = first ? "sched-0" : "sched-1";
  p.metadata.uid = fmt::format("00000000-0000-4000-8000-{:012}", i);
  p.spec.schedulerName = "default-scheduler";
  auto& c = p.spec.containers.add();
  c.name = "pause";
  c.image = "registry.k8s.io/pause:3.10";
  c.resources.requests["cpu"] = quantity("100m");
  c.resources.requests["memory"] = quantity("500Mi");
  if (load == "spread" && !first) {
    p.metadata.labels["color"] = "blue";
    auto& t = p.spec.topologySpreadConstraints.add();
    t.maxSkew = 5;
    t.topologyKey = "topology.kubernetes.io/zone";
    t.whenUnsatisfiable = "DoNotSchedule";
    t.labelSelector.emplace().matchLabels["color"] = "blue";
  } else if (load == "anti-affinity") {
    p.metadata.labels["color"] = "green";
    auto& t = p.spec.affinity.ensure()
                  .podAntiAffinity.ensure()
                  .requiredDuringSchedulingIgnoredDuringExecution.add();
    t.topologyKey = "kubernetes.io/hostname";
    t.labelSelector.emplace().matchLabels["color"] = "green";
    t.namespaces.push_back("sched-0");
    t.namespaces.push_back("sched-1");
  }
  return api::Object::of(std::move(p));
}

int run(const std::string& load, int nodes, int init, int pods) {
  Answering writer;
  MetricRegistry registry;
  Metrics metrics(registry);
  ProfileConfig config;
  std::vector<Profile> profiles;
  profiles.push_back(makeProfile(config, {}));
  Core core(std::move(profiles), {config.args}, writer, Clock::system(), metrics, {});
  for (int i = 0; i < nodes; i++) core.onNode(nullptr, makeNode(i));

  double spent = 0, begin = 0;
  size_t bound = 0;
  auto schedule = [&](int from, int to, bool first) {
    for (int i = from; i < to; i++) {
      auto pod = makePod(load, i, first);
      begin = cpuSeconds();
      core.onPod(nullptr, pod);
      core.attempt();
      spent += cpuSeconds() - begin;
      for (auto& [p, node] : writer.bound) {
        auto after = pod->clone();
        after->as<Pod>().spec.nodeName = node;
        begin = cpuSeconds();
        core.bound(p, node, {});
        core.onPod(pod, after);
        spent += cpuSeconds() - begin;
        bound++;
      }
      writer.bound.clear();
    }
  };
  schedule(0, init, true);
  double before = residentMb();
  spent = 0;
  bound = 0;
  schedule(init, init + pods, false);
  fmt::print(
      "{{\"row\": \"scheduler-{}-{}\", \"figure\": {:.0f}, \"unit\": \"pods/s of CPU time of the core, {} "
      "nodes, {} pods after {}\", "
      "\"goal\": \"over {}\", \"microseconds\": {:.1f}, \"bound\": {}, \"failed\": {}, \"mb\": {:.1f}, "
      "\"mb_before\": {:.1f}}}\n",
      nodes, load, bound / spent, nodes, pods, init,
      load == "basic"    ? "8,000"
      : load == "spread" ? "4,000"
                         : "2,000",
      spent / bound * 1e6, bound, writer.failures, residentMb(), before);
  if (writer.failures > 0) fmt::print(stderr, "{}\n", writer.last);
  return 0;
}

}  // namespace
}  // namespace km::scheduler

int main(int argc, char** argv) {
  std::string load = argc > 1 ? argv[1] : "basic";
  int nodes = argc > 2 ? std::atoi(argv[2]) : 5000;
  int init = argc > 3 ? std::atoi(argv[3]) : load == "spread" ? 5000 : 1000;
  int pods = argc > 4 ? std::atoi(argv[4]) : load == "basic" ? 10000 : load == "spread" ? 5000 : 2000;
  return km::scheduler::run(load, nodes, init, pods);
}
