#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <future>
#include <thread>

#include "api/types/resource_v1.h"
#include "api/types/storage_v1.h"
#include "client/testing/fake_client.h"
#include "client/timers.h"
#include "client/worker_pool.h"
#include "scheduler/plugins/plugins.h"
#include "scheduler/plugins/volume_lookup.h"
#include "scheduler/testing.h"

namespace km::scheduler {
namespace {

using namespace testing;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// Claims, volumes and classes on a fake API server, and a World that sees them.
class Volumes : public ::testing::Test {
 protected:
  Volumes() : pool_(2), informers_(client_, pool_, timers_) {
    listers_.client = &client_;
    listers_.timers = &timers_;
    listers_.claims = &informers_.of<api::core_v1::PersistentVolumeClaim>();
    listers_.volumes = &informers_.of<api::core_v1::PersistentVolume>();
    listers_.storageClasses = &informers_.of<api::storage_v1::StorageClass>();
    listers_.deviceClaims = &informers_.of<api::resource_v1::ResourceClaim>();
    listers_.csiNodes = &informers_.of<api::storage_v1::CSINode>();
  }
  ~Volumes() override {
    world_.reset();
    informers_.stop();
  }

  void storageClass(std::string_view name, std::string_view provisioner, bool waits) {
    api::storage_v1::StorageClass sc;
    sc.metadata.name = name;
    sc.provisioner = provisioner;
    sc.volumeBindingMode = codec::String(waits ? "WaitForFirstConsumer" : "Immediate");
    client_.put(sc);
  }
  api::core_v1::PersistentVolumeClaim claim(std::string_view className, std::string_view volume = "") {
    api::core_v1::PersistentVolumeClaim c;
    c.metadata.name = "data";
    c.metadata.namespace_ = "ns";
    c.metadata.uid = "claim";
    c.spec.storageClassName = codec::String(className);
    c.spec.accessModes.push_back("ReadWriteOnce");
    c.spec.resources.requests["storage"] = quantity("1Gi");
    if (!volume.empty()) {
      c.spec.volumeName = volume;
      c.metadata.annotations[kBindCompleted] = "yes";
    }
    return c;
  }
  api::core_v1::PersistentVolume volume(std::string_view name, std::string_view className,
                                        std::string_view node) {
    api::core_v1::PersistentVolume v;
    v.metadata.name = name;
    v.metadata.uid = std::string("pv-") + std::string(name);
    v.spec.storageClassName = className;
    v.spec.capacity["storage"] = quantity("1Gi");
    v.spec.accessModes.push_back("ReadWriteOnce");
    v.status.phase = "Available";
    if (!node.empty()) {
      auto& e = v.spec.nodeAffinity.ensure().required.ensure().nodeSelectorTerms.add().matchExpressions.add();
      e.key = "kubernetes.io/hostname";
      e.operator_ = "In";
      e.values.push_back(node);
    }
    return v;
  }
  Pod podWithClaim(std::string_view name) {
    Pod p = makePod(name);
    auto& v = p.spec.volumes.add();
    v.name = "v";
    v.persistentVolumeClaim.emplace().claimName = "data";
    return p;
  }
  World& world() {
    informers_.start();
    informers_.waitForSync();
    world_ = std::make_unique<World>(ProfileConfig(), listers_);
    world_->node({.name = "a", .labels = {{"topology.kubernetes.io/zone", "1"}}});
    world_->node({.name = "b", .labels = {{"topology.kubernetes.io/zone", "2"}}});
    return *world_;
  }

  client::FakeClient client_;
  client::WorkerPool pool_;
  client::Timers timers_;
  client::InformerFactory informers_;
  Listers listers_;
  std::unique_ptr<World> world_;
};

TEST_F(Volumes, AMissingOrUnboundClaim) {
  EXPECT_THAT(world().outcome(podWithClaim("p")),
              StartsWith("0/2 nodes are available: persistentvolumeclaim \"data\" not found. no new"));
}

TEST_F(Volumes, AnUnboundClaimThatDoesNotWait) {
  storageClass("fast", "example.com/p", false);
  client_.put(claim("fast"));
  EXPECT_THAT(world().outcome(podWithClaim("p")),
              StartsWith("0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims."));
}

TEST_F(Volumes, ABoundVolumeChoosesTheNode) {
  client_.put(volume("pv", "c", "b"));
  client_.put(claim("c", "pv"));
  EXPECT_EQ(world().outcome(podWithClaim("p")), "b");
}

TEST_F(Volumes, AVolumeOfAnotherNodeOrZoneOrNone) {
  auto v = volume("pv", "c", "gone");
  client_.put(v);
  client_.put(claim("c", "pv"));
  EXPECT_THAT(
      world().outcome(podWithClaim("p")),
      StartsWith("0/2 nodes are available: 2 node(s) didn't match PersistentVolume's node affinity."));
}

TEST_F(Volumes, ZoneOfTheVolume) {
  auto v = volume("pv", "c", "");
  v.metadata.labels["topology.kubernetes.io/zone"] = "2__3";
  client_.put(v);
  client_.put(claim("c", "pv"));
  EXPECT_EQ(world().outcome(podWithClaim("p")), "b");
}

TEST_F(Volumes, AClaimOfOnePod) {
  auto c = claim("c", "pv");
  c.spec.accessModes[0] = "ReadWriteOncePod";
  client_.put(volume("pv", "c", ""));
  client_.put(c);
  World& w = world();
  w.pod(placed(podWithClaim("q"), "a"));
  EXPECT_THAT(w.outcome(podWithClaim("p")),
              HasSubstr("node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode "
                        "already in-use by another pod"));
  w.gone("q");
  w.settle();
  EXPECT_TRUE(w.where.contains("p"));
}

TEST_F(Volumes, WithoutAProvisionerThereMustBeAVolume) {
  storageClass("wait", "kubernetes.io/no-provisioner", true);
  client_.put(claim("wait"));
  EXPECT_THAT(
      world().outcome(podWithClaim("p")),
      StartsWith("0/2 nodes are available: 2 node(s) didn't find available persistent volumes to bind."));
}

// Runs what comes before the binding, and gives the answer.
Status preBind(World& w, PodPtr pod, const std::string& node, const std::vector<Plugin*>& before,
               const std::function<void()>& meanwhile) {
  std::promise<Status> answer;
  EXPECT_EQ(before.size(), 1u);
  if (before.empty()) return errors::internal("nothing to do");
  before[0]->preBind(pod, node, [&](Status s) { answer.set_value(std::move(s)); });
  meanwhile();
  return answer.get_future().get();
}

TEST_F(Volumes, TheFirstConsumerBindsAVolumeOfItsNode) {
  storageClass("wait", "kubernetes.io/no-provisioner", true);
  client_.put(volume("pvb", "wait", "b"));
  client_.put(claim("wait"));
  World& w = world();
  w.pod(podWithClaim("p"));
  ASSERT_TRUE(w.core->attempt());
  ASSERT_EQ(w.writer.bound.size(), 1u);
  EXPECT_EQ(w.writer.bound[0].second, "b");
  Status s = preBind(w, w.writer.bound[0].first, "b", w.writer.before[0], [&] {
    // As the volume controller answers a claimRef.
    EXPECT_EQ(client_.find<api::core_v1::PersistentVolume>("", "pvb")->spec.claimRef->name, "data");
    auto bound = claim("wait", "pvb");
    client_.put(bound);
  });
  EXPECT_TRUE(s.ok()) << s.message();
  // Another pod finds the volume taken.
  EXPECT_TRUE(client_.find<api::core_v1::PersistentVolume>("", "pvb")->metadata.annotations.contains(
      kBoundByController));
}

TEST_F(Volumes, AProvisionerIsToldTheNode) {
  storageClass("wait", "example.com/p", true);
  client_.put(claim("wait"));
  World& w = world();
  w.pod(podWithClaim("p"));
  ASSERT_TRUE(w.core->attempt());
  ASSERT_EQ(w.writer.bound.size(), 1u);
  std::string node = w.writer.bound[0].second;
  Status s = preBind(w, w.writer.bound[0].first, node, w.writer.before[0], [&] {
    auto told = client_.find<api::core_v1::PersistentVolumeClaim>("ns", "data");
    EXPECT_EQ(told->metadata.annotations.get(kSelectedNode), node);
    client_.put(volume("made", "wait", node));
    auto bound = claim("wait", "made");
    bound.metadata.annotations[kSelectedNode] = node;
    client_.put(bound);
  });
  EXPECT_TRUE(s.ok()) << s.message();
}

TEST_F(Volumes, AProvisionerThatGivesUpEndsTheAttempt) {
  storageClass("wait", "example.com/p", true);
  client_.put(claim("wait"));
  World& w = world();
  w.pod(podWithClaim("p"));
  ASSERT_TRUE(w.core->attempt());
  std::string node = w.writer.bound.at(0).second;
  Status s =
      preBind(w, w.writer.bound[0].first, node, w.writer.before[0], [&] { client_.put(claim("wait")); });
  EXPECT_THAT(std::string(s.message()), HasSubstr("provisioning failed for PVC \"data\""));
}

TEST_F(Volumes, StoppingEndsTheWait) {
  storageClass("wait", "example.com/p", true);
  client_.put(claim("wait"));
  World& w = world();
  w.pod(podWithClaim("p"));
  ASSERT_TRUE(w.core->attempt());
  Status s = preBind(w, w.writer.bound.at(0).first, w.writer.bound[0].second, w.writer.before[0],
                     [&] { w.core->stop(); });
  EXPECT_THAT(std::string(s.message()), HasSubstr("the scheduler stops"));
}

TEST_F(Volumes, NoMoreThanANodeCanAttach) {
  for (int i = 0; i < 2; i++) {
    auto v = volume(fmt::format("pv{}", i), "c", "a");
    v.spec.csi.emplace().driver = "example.com/d";
    v.spec.csi->volumeHandle = fmt::format("h{}", i);
    client_.put(v);
    auto c = claim("c", fmt::format("pv{}", i));
    c.metadata.name = i == 0 ? "other" : "data";
    c.metadata.uid = fmt::format("claim{}", i);
    client_.put(c);
  }
  api::storage_v1::CSINode n;
  n.metadata.name = "a";
  auto& d = n.spec.drivers.add();
  d.name = "example.com/d";
  d.allocatable.emplace().count = 1;
  client_.put(n);
  World& w = world();
  Pod q = podWithClaim("q");
  q.spec.volumes[0].persistentVolumeClaim->claimName = "other";
  EXPECT_EQ(w.outcome(q), "a");
  EXPECT_THAT(w.outcome(podWithClaim("p")), HasSubstr("1 node(s) exceed max volume count"));
}

TEST_F(Volumes, DeviceClaims) {
  Pod p = makePod("p");
  auto& c = p.spec.resourceClaims.add();
  c.name = "d";
  c.resourceClaimName = codec::String("claim");
  World& w = world();
  w.pod(p);
  EXPECT_FALSE(w.core->attempt());  // not even tried
  EXPECT_EQ(w.core->queue().gated(), 1u);
  api::resource_v1::ResourceClaim claim;
  claim.metadata.name = "claim";
  claim.metadata.namespace_ = "ns";
  claim.metadata.uid = "device-claim";
  auto tell = [&] {
    client_.put(claim);
    auto stored = client_.find<api::resource_v1::ResourceClaim>("ns", "claim");
    while (client::Lister<api::resource_v1::ResourceClaim>(*listers_.deviceClaims).get("ns", "claim") ==
               nullptr ||
           listers_.deviceClaims->lastResourceVersion() <
               std::stoll(stored->metadata.resourceVersion.str())) {
      std::this_thread::yield();
    }
    w.core->onOther(
        {kResourceClaim, nullptr, client_.findObject(api::resource_v1::ResourceClaim::kType, "ns", "claim")});
    w.settle();
  };
  tell();
  ASSERT_EQ(w.writer.failures.size(), 1u);
  EXPECT_THAT(
      w.writer.failures[0].message,
      StartsWith(
          "0/2 nodes are available: 2 cannot allocate all claims. still not schedulable, preemption: "));
  // Someone allocates a device of node b.
  auto& e =
      claim.status.allocation.emplace().nodeSelector.emplace().nodeSelectorTerms.add().matchFields.add();
  e.key = "metadata.name";
  e.operator_ = "In";
  e.values.push_back("b");
  tell();
  EXPECT_EQ(w.where["p"], "b");
  ASSERT_EQ(w.writer.before.back().size(), 1u);
  std::promise<Status> answer;
  w.writer.before.back()[0]->preBind(std::make_shared<Pod>(p), "b",
                                     [&](Status s) { answer.set_value(std::move(s)); });
  EXPECT_TRUE(answer.get_future().get().ok());
  EXPECT_EQ(client_.find<api::resource_v1::ResourceClaim>("ns", "claim")->status.reservedFor.size(), 1u);
}

}  // namespace
}  // namespace km::scheduler
