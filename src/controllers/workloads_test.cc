#include <set>

#include "controllers/deployment/core.h"
#include "controllers/replicaset/core.h"
#include "client/testing/fake_clock.h"
#include "controllers/expectations.h"
#include "controllers/testing_fixture.h"

namespace km::controllers {
namespace {

using api::apps_v1::Deployment;
using api::apps_v1::ReplicaSet;
using api::core_v1::Event;

ReplicaSet replicaSet(int replicas) {
  ReplicaSet rs;
  rs.metadata.name = "web";
  rs.metadata.namespace_ = "ns";
  rs.spec.replicas = replicas;
  rs.spec.selector.ensure().matchLabels["app"] = "web";
  rs.spec.template_ = podTemplate("i");
  return rs;
}

class RolloutTest : public ControllerTest {
 protected:
  // The deployment `web` of one pod comes to rest, all its pods being ready as soon as they are there.
  bool rollsOut() {
    return eventually([&] {
      for (const PodPtr& p : client.all<Pod>()) makeReady(*p);
      auto now = client.find<Deployment>("ns", "web");
      return now->status.updatedReplicas == 1 && now->status.replicas == 1;
    });
  }
};

TEST_F(ControllerTest, AReplicaSetGetsItsPods) {
  run({"replicaset"});
  client.put(replicaSet(3));
  ASSERT_TRUE(eventually([&] { return client.all<Pod>().size() == 3; }));
  for (const PodPtr& p : client.all<Pod>()) {
    EXPECT_EQ(p->metadata.generateName, "web-");
    EXPECT_EQ(p->metadata.ownerReferences[0].kind, "ReplicaSet");
    makeReady(*p);
  }
  ASSERT_TRUE(eventually([&] { return client.find<ReplicaSet>("ns", "web")->status.availableReplicas == 3; }));
  auto status = client.find<ReplicaSet>("ns", "web")->status;
  EXPECT_EQ(status.replicas, 3);
  EXPECT_EQ(status.fullyLabeledReplicas, 3);
  EXPECT_EQ(status.observedGeneration, 1);
  // A pod that goes is replaced.
  ASSERT_TRUE(client.remove(client::target(Pod::kType, "ns", client.all<Pod>()[0]->metadata.name)).ok());
  ASSERT_TRUE(eventually([&] { return client.all<Pod>().size() == 3; }));
  // Fewer are wanted: the one that is not ready goes first.
  ReplicaSet rs = *client.find<ReplicaSet>("ns", "web");
  rs.spec.replicas = 2;
  rs.metadata.resourceVersion.clear();
  ASSERT_TRUE(updateObject(client, rs).ok());
  ASSERT_TRUE(eventually([&] { return client.all<Pod>().size() == 2; }));
  for (const PodPtr& p : client.all<Pod>()) EXPECT_TRUE(isPodReady(*p));
  ASSERT_TRUE(eventually([&] { return client.all<Event>("ns").size() >= 5; }));
}

TEST_F(ControllerTest, AReplicaSetAdoptsAndReleases) {
  Pod orphan;
  orphan.metadata.name = "orphan";
  orphan.metadata.namespace_ = "ns";
  orphan.metadata.labels["app"] = "web";
  client.put(orphan);
  client.put(replicaSet(1));
  run({"replicaset-controller"});
  ASSERT_TRUE(eventually([&] { return client.find<Pod>("ns", "orphan")->metadata.ownerReferences.size() == 1; }));
  EXPECT_EQ(client.all<Pod>().size(), 1u);
  Pod changed = *client.find<Pod>("ns", "orphan");
  changed.metadata.labels["app"] = "other";
  ASSERT_TRUE(updateObject(client, changed).ok());
  ASSERT_TRUE(eventually([&] { return client.find<Pod>("ns", "orphan")->metadata.ownerReferences.empty(); }));
  ASSERT_TRUE(eventually([&] { return client.all<Pod>().size() == 2; }));
}

TEST_F(ControllerTest, PodsBecomeAvailableWhereNoMoreCanBeMade) {
  ReplicaSet rs = replicaSet(2);
  rs.spec.minReadySeconds = 1;
  client.setReactor([&](std::string_view verb, const client::Target& t, const api::ObjectPtr&) -> Status {
    bool full = verb == "create" && t.resource->name == "pods" && client.all<Pod>().size() >= 1;
    return full ? errors::forbidden({"", "pods"}, "p", "exceeded quota") : Status();
  });
  client.put(rs);
  run({"replicaset-controller"});
  ASSERT_TRUE(eventually([&] { return client.all<Pod>().size() == 1; }));
  Pod ready = *client.all<Pod>()[0];
  ready.status.phase = "Running";
  auto& c = ready.status.conditions.add();
  c.type = "Ready";
  c.status = "True";
  c.lastTransitionTime = codec::Time(Clock::system().now().seconds);
  ASSERT_TRUE(updateStatus(client, std::move(ready)).ok());
  EXPECT_TRUE(eventually([&] { return client.find<ReplicaSet>("ns", "web")->status.availableReplicas == 1; }));
}

TEST_F(ControllerTest, AReplicaSetTellsThatPodsAreRefused) {
  client.setReactor([](std::string_view verb, const client::Target& t, const ObjectPtr&) {
    return verb == "create" && t.resource->name == "pods" ? errors::forbidden({"", "pods"}, "", "quota") : Status();
  });
  run({"replicaset"});
  client.put(replicaSet(2));
  ASSERT_TRUE(eventually([&] { return !client.find<ReplicaSet>("ns", "web")->status.conditions.empty(); }));
  auto c = client.find<ReplicaSet>("ns", "web")->status.conditions[0];
  EXPECT_EQ(c.type, "ReplicaFailure");
  EXPECT_EQ(c.reason, "FailedCreate");
  client.setReactor(nullptr);
  ASSERT_TRUE(eventually([&] { return client.all<Pod>().size() == 2; }));
  ASSERT_TRUE(eventually([&] { return client.find<ReplicaSet>("ns", "web")->status.conditions.empty(); }));
}

TEST_F(ControllerTest, ADeploymentRollsOut) {
  run({"replicaset", "deployment"});
  client.put(makeDeployment(4, "v1"));
  auto becomeReady = [&] {
    for (const PodPtr& p : client.all<Pod>()) {
      if (!isPodReady(*p) && !p->metadata.deletionTimestamp) makeReady(*p);
    }
  };
  auto rolledOut = [&](int64_t generation) {
    return eventually([&] {
      becomeReady();
      auto d = client.find<Deployment>("ns", "web");
      const auto& s = d->status;
      const auto* c = deployment::findCondition(s, "Progressing");
      return s.observedGeneration == generation && s.replicas == 4 && s.updatedReplicas == 4 && s.availableReplicas == 4 &&
             c && c->reason == "NewReplicaSetAvailable";
    });
  };
  ASSERT_TRUE(rolledOut(1));
  EXPECT_EQ(client.find<Deployment>("ns", "web")->metadata.annotations.get(deployment::kRevision), "1");
  auto first = client.all<ReplicaSet>()[0];
  EXPECT_EQ(first->metadata.annotations.get(deployment::kDesiredReplicas), "4");
  EXPECT_EQ(first->metadata.annotations.get(deployment::kMaxReplicas), "5");

  auto change = [&](std::string_view image) {
    for (int i = 0; i < 20; i++) {
      Deployment d = *client.find<Deployment>("ns", "web");
      d.spec.template_ = podTemplate(image);
      if (updateObject(client, std::move(d)).ok()) return;
    }
  };
  change("v2");
  ASSERT_TRUE(rolledOut(2));
  EXPECT_EQ(client.all<ReplicaSet>().size(), 2u);
  EXPECT_EQ(client.find<Deployment>("ns", "web")->metadata.annotations.get(deployment::kRevision), "2");
  // Back to the first template: its set is taken again, as revision 3.
  change("v1");
  ASSERT_TRUE(rolledOut(3));
  EXPECT_EQ(client.all<ReplicaSet>().size(), 2u);
  auto again = client.find<ReplicaSet>("ns", first->metadata.name);
  EXPECT_EQ(again->metadata.annotations.get(deployment::kRevision), "3");
  EXPECT_EQ(again->metadata.annotations.get(deployment::kRevisionHistory), "1");
  for (const char* v : {"v3", "v4", "v5"}) {
    int64_t next = client.find<Deployment>("ns", "web")->metadata.generation + 1;
    change(v);
    ASSERT_TRUE(rolledOut(next));
  }
  ASSERT_TRUE(eventually([&] { return client.all<ReplicaSet>().size() == 3; }));
}

TEST_F(ControllerTest, ARecreateDeploymentEndsTheOldPodsFirst) {
  run({"replicaset", "deployment"});
  Deployment d = makeDeployment(2, "v1");
  d.spec.strategy.type = "Recreate";
  d.spec.strategy.rollingUpdate.reset();
  client.put(d);
  ASSERT_TRUE(eventually([&] { return client.all<Pod>().size() == 2; }));
  std::set<std::string> old;
  for (const PodPtr& p : client.all<Pod>()) {
    old.insert(p->metadata.name.str());
    makeReady(*p);
  }
  for (int i = 0; i < 20; i++) {
    Deployment next = *client.find<Deployment>("ns", "web");
    next.spec.template_ = podTemplate("v2");
    if (updateObject(client, std::move(next)).ok()) break;
  }
  ASSERT_TRUE(eventually([&] {
    auto pods = client.all<Pod>();
    bool mixed = false, fresh = false;
    for (const PodPtr& p : pods) (old.contains(p->metadata.name.str()) ? mixed : fresh) = true;
    EXPECT_FALSE(mixed && fresh);
    return pods.size() == 2 && fresh;
  }));
}

// Scaled and changed at once: what runs has the new size already, and was made for the old one.
TEST_F(RolloutTest, ADeploymentWhoseSetHasTheNewSizeRollsOut) {
  Deployment d = makeDeployment(1, "v2");
  auto stored = client.put(d);
  ReplicaSet rs = replicaSet(1);
  rs.metadata.name = "web-old";
  rs.metadata.annotations["deployment.kubernetes.io/desired-replicas"] = "2";
  rs.metadata.ownerReferences.push_back(makeControllerRef(Deployment::kType, stored->metadata));
  client.put(rs);
  run({"replicaset", "deployment"});
  ASSERT_TRUE(rollsOut());
}

// Two sets that it adopted.
TEST_F(RolloutTest, ARecreateDeploymentScalesDownWhatItAdopted) {
  Deployment d = makeDeployment(1, "v3");
  d.spec.strategy.type = "Recreate";
  d.spec.strategy.rollingUpdate.reset();
  auto stored = client.put(d);
  for (const char* name : {"web-a", "web-b"}) {
    ReplicaSet rs = replicaSet(1);
    rs.metadata.name = name;
    rs.metadata.annotations["deployment.kubernetes.io/desired-replicas"] = "2";
    rs.metadata.ownerReferences.push_back(makeControllerRef(Deployment::kType, stored->metadata));
    rs.spec.selector.ensure().matchLabels["set"] = name;
    rs.spec.template_.metadata.labels["set"] = name;
    client.put(rs);
  }
  run({"replicaset", "deployment"});
  ASSERT_TRUE(rollsOut());
}

// --- cores ----------------------------------------------------------------------------------------------

PodPtr pod(std::string_view name, std::string_view node, std::string_view phase, bool ready, int64_t age) {
  auto p = std::make_shared<Pod>();
  p->metadata.name = name;
  p->metadata.uid = name;
  p->metadata.creationTimestamp = codec::Time(100000 - age);
  p->spec.nodeName = node;
  p->status.phase = phase;
  if (ready) {
    auto& c = p->status.conditions.add();
    c.type = "Ready";
    c.status = "True";
    c.lastTransitionTime = codec::Time(100000 - age);
  }
  return p;
}

TEST(ExpectationsTest, TheyEndWithTime) {
  client::FakeClock clock;
  Expectations e(clock);
  EXPECT_TRUE(e.satisfied("ns/a"));
  e.expectCreations("ns/a", 2);
  e.creationObserved("ns/a");
  EXPECT_FALSE(e.satisfied("ns/a"));
  clock.advance(std::chrono::minutes(2));
  Duration left = e.untilTimeout("ns/a");
  EXPECT_EQ(left / std::chrono::minutes(1), 3);
  clock.advance(left);
  EXPECT_TRUE(e.satisfied("ns/a"));
}

TEST(ReplicaSetCoreTest, OrderOfDeletion) {
  std::vector<PodPtr> pods{pod("old", "n1", "Running", true, 5000), pod("young", "n1", "Running", true, 10),
                           pod("notready", "n1", "Running", false, 5000), pod("pending", "n1", "Pending", false, 5000),
                           pod("unassigned", "", "Pending", false, 5000)};
  auto order = [&](int n) {
    std::vector<std::string> out;
    for (const PodPtr& p : replicaset::podsToDelete(pods, pods, n, {100000, 0})) out.push_back(p->metadata.name.str());
    return out;
  };
  EXPECT_EQ(order(4), (std::vector<std::string>{"unassigned", "pending", "notready", "young"}));
  auto cheap = std::make_shared<Pod>(*pods[0]);
  cheap->metadata.annotations["controller.kubernetes.io/pod-deletion-cost"] = "-5";
  pods = {pods[1], cheap};
  EXPECT_EQ(order(1), (std::vector<std::string>{"old"}));
}

TEST(ReplicaSetCoreTest, AvailabilityWaitsForMinReadySeconds) {
  ReplicaSet rs = replicaSet(1);
  rs.spec.minReadySeconds = 30;
  auto p = std::make_shared<Pod>(*pod("a", "n", "Running", true, 10));
  p->metadata.labels["app"] = "web";
  auto s = replicaset::calculateStatus(rs, {p}, 0, {}, {100000, 0});
  EXPECT_EQ(s.readyReplicas, 1);
  EXPECT_EQ(s.availableReplicas, 0);
  EXPECT_EQ(replicaset::nextAvailability({p}, 30, {100000, 0}), std::chrono::seconds(20));
  s = replicaset::calculateStatus(rs, {p}, 0, {}, {100020, 0});
  EXPECT_EQ(s.availableReplicas, 1);
}

TEST(DeploymentCoreTest, ProportionalScaling) {
  Deployment d = makeDeployment(20, "i");
  d.spec.strategy.rollingUpdate->maxSurge = codec::IntOrString(3);
  auto set = [](std::string_view name, int n, int64_t created) {
    auto rs = std::make_shared<ReplicaSet>();
    rs->metadata.name = name;
    rs->metadata.creationTimestamp = codec::Time(created);
    rs->spec.replicas = n;
    deployment::setReplicasAnnotations(*rs, 10, 13);
    return rs;
  };
  auto sizes = deployment::proportionalSizes(d, {set("old", 8, 1), set("new", 5, 2)});
  ASSERT_EQ(sizes.size(), 2u);
  EXPECT_EQ(sizes[0].first->metadata.name, "old");
  EXPECT_EQ(sizes[0].second + sizes[1].second, 23);
  EXPECT_EQ(sizes[0].second, 14);
}

TEST(DeploymentCoreTest, FencepostsNeverBothZero) {
  Deployment d = makeDeployment(1, "i");
  d.spec.strategy.rollingUpdate->maxSurge = codec::IntOrString(0);
  EXPECT_EQ(deployment::maxSurge(d), 0);
  EXPECT_EQ(deployment::maxUnavailable(d), 1);
  d = makeDeployment(10, "i");
  EXPECT_EQ(deployment::maxSurge(d), 3);
  EXPECT_EQ(deployment::maxUnavailable(d), 2);
}

TEST(DeploymentCoreTest, ProgressDeadline) {
  Deployment d = makeDeployment(1, "i");
  d.spec.progressDeadlineSeconds = 10;
  deployment::setCondition(d.status, deployment::makeCondition("Progressing", "True", "ReplicaSetUpdated", "", {1000, 0}));
  auto s = deployment::rolloutStatus(d, {}, nullptr, {1009, 0});
  EXPECT_EQ(deployment::findCondition(s, "Progressing")->reason, "ReplicaSetUpdated");
  EXPECT_EQ(deployment::progressCheckAfter(d, s, {1009, 0}), std::chrono::seconds(1));
  s = deployment::rolloutStatus(d, {}, nullptr, {1011, 0});
  EXPECT_EQ(deployment::findCondition(s, "Progressing")->reason, "ProgressDeadlineExceeded");
  EXPECT_EQ(deployment::findCondition(s, "Progressing")->status, "False");
}

}  // namespace
}  // namespace km::controllers
