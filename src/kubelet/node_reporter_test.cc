#include "kubelet/node_reporter.h"

#include <gtest/gtest.h>

#include <thread>

#include "api/types/coordination_v1.h"
#include "api/types/core_v1.h"
#include "client/testing/fake_client.h"
#include "client/testing/fake_clock.h"
#include "kubelet/hollow_runtime.h"

namespace km::kubelet {
namespace {

using api::coordination_v1::Lease;
using api::core_v1::Node;

struct NodeReporterTest : ::testing::Test {
  NodeReporterTest() {
    options.nodeName = "n1";
    options.hollow.emplace();
    machine = readMachine(options);
    reporter = std::make_unique<NodeReporter>(options, machine, client, runtime, pool, timers, client::EventRecorder(), [] { return 10250; });
  }
  ~NodeReporterTest() override {
    reporter->stop();
    pool.stop();
  }
  // Moves the clock on and waits until the turn that is due then has renewed the lease.
  bool turnAfter(Duration wait) {
    auto renewed = [&] {
      auto lease = client.find<Lease>("kube-node-lease", "n1");
      return lease && lease->spec.renewTime ? lease->spec.renewTime->seconds : 0;
    };
    clock.advance(wait);
    int64_t now = clock.now().seconds;
    for (int i = 0; i < 2000 && renewed() < now; i++) {
      timers.runDue();
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return renewed() == now;
  }
  int64_t heartbeat() { return client.find<Node>("", "n1")->status.conditions[0].lastHeartbeatTime.seconds; }

  client::FakeClock clock;
  client::FakeClient client{clock};
  client::Timers timers{clock};
  ElasticPool pool{2};
  HollowRuntime runtime{clock, 1};
  Options options;
  Machine machine;
  std::unique_ptr<NodeReporter> reporter;
};

// As NodeRestriction does: no node may change its own taints.
TEST_F(NodeReporterTest, TaintsThatOthersChangedDoNotSilenceANode) {
  reporter->start();
  ASSERT_TRUE(turnAfter(Duration(0)));
  Node tainted = *client.find<Node>("", "n1");
  tainted.spec.taints.add().key = "node.kubernetes.io/unschedulable";
  client.put(std::move(tainted));
  client.setReactor([&](std::string_view verb, const client::Target& t, const api::ObjectPtr& o) -> Status {
    if (verb != "update" || !o->is(Node::kType)) return {};
    if (o->as<Node>().spec.taints.size() == 1) return {};
    return errors::forbidden({"", "nodes"}, "n1", "node \"n1\" is not allowed to modify taints");
  });
  ASSERT_TRUE(turnAfter(std::chrono::minutes(6)));
  EXPECT_EQ(heartbeat(), clock.now().seconds);
}

TEST_F(NodeReporterTest, ANodeWhoseStatusIsRefusedStillRenewsItsLease) {
  reporter->start();
  ASSERT_TRUE(turnAfter(Duration(0)));
  int64_t before = heartbeat();
  client.setReactor([&](std::string_view verb, const client::Target& t, const api::ObjectPtr&) -> Status {
    return (verb == "patch" || verb == "update") && t.subresource == "status" ? errors::internal("out of order") : Status();
  });
  ASSERT_TRUE(turnAfter(std::chrono::minutes(6)));
  EXPECT_EQ(heartbeat(), before);
}

}  // namespace
}  // namespace km::kubelet
