#include "testing/cluster.h"

#include "api/types/core_v1.h"
#include "base/log.h"

namespace km::testing {

Cluster::Cluster(int count)
    : api(disk, network, {[this](store::Store& s) { observer.opened(s); }, [this] { observer.closing(); }}), managers(network), scheduler(network) {
  processes = {&api, &managers, &scheduler};
  for (int i = 1; i <= count; i++) {
    nodes.push_back(std::make_unique<NodeProcess>(network, i));
    processes.push_back(nodes.back().get());
  }
  adminProcess_ = network.process("admin");
  admin_ = adminProcess_->client({.name = "admin", .groups = {"system:masters"}}, "kubectl");
}

void Cluster::startAll() {
  for (Process* p : processes) {
    if (!p->isRunning()) p->start();
  }
}

void Cluster::killApiServer() {
  if (!api.isRunning()) return;
  api.kill();
  observer.storeKilled();
}

void Cluster::boot() {
  api.start();
  while (!api.isUp()) sleepFor(std::chrono::milliseconds(10));
  startAll();
  auto ready = [&] {
    size_t n = 0;
    observer.each<api::core_v1::Node>([&](const api::core_v1::Node& node) {
      for (const auto& c : node.status.conditions) n += c.type == "Ready" && c.status == "True" && node.spec.taints.empty() ? 1 : 0;
    });
    return n == nodes.size();
  };
  for (int i = 0; !ready(); i++) {
    KM_CHECK(i < 120);
    sleepFor(std::chrono::seconds(1));
  }
  sleepFor(std::chrono::seconds(20));
}

}  // namespace km::testing
