#include "api/types/coordination_v1.h"
#include "api/types/discovery_v1.h"
#include "controllers/endpoints/mirror.h"
#include "controllers/endpoints/slice_core.h"
#include "controllers/garbagecollector/core.h"
#include "controllers/namespace/core.h"
#include "controllers/nodeipam/cidr_set.h"
#include "controllers/nodelifecycle/core.h"
#include "controllers/nodelifecycle/taint_eviction.h"
#include "controllers/podgc/controller.h"
#include "controllers/testing_fixture.h"
#include "controllers/ttl/controller.h"

namespace km::controllers {
namespace {

using api::apps_v1::Deployment;
using api::apps_v1::ReplicaSet;
using api::core_v1::ConfigMap;
using api::core_v1::Endpoints;
using api::core_v1::Namespace;
using api::core_v1::Node;
using api::core_v1::Service;
using api::core_v1::ServiceAccount;
using api::discovery_v1::EndpointSlice;

Node node(std::string_view name, std::string_view ready = "True") {
  Node n;
  n.metadata.name = name;
  auto& c = n.status.conditions.add();
  c.type = "Ready";
  c.status = ready;
  return n;
}

Pod servedPod(std::string_view name, std::string_view ip, bool ready) {
  Pod p;
  p.metadata.name = name;
  p.metadata.namespace_ = "ns";
  p.metadata.labels["app"] = "web";
  p.spec.nodeName = "n1";
  p.status.phase = "Running";
  p.status.podIP = ip;
  p.status.podIPs.add().ip = ip;
  auto& c = p.status.conditions.add();
  c.type = "Ready";
  c.status = ready ? "True" : "False";
  return p;
}

Service service() {
  Service s;
  s.metadata.name = "web";
  s.metadata.namespace_ = "ns";
  s.spec.selector["app"] = "web";
  s.spec.clusterIP = "10.96.0.1";
  s.spec.ipFamilies.push_back("IPv4");
  auto& p = s.spec.ports.add();
  p.name = "http";
  p.protocol = "TCP";
  p.port = 80;
  p.targetPort = codec::IntOrString(8080);
  return s;
}

TEST_F(ControllerTest, AServiceGetsSlicesAndEndpoints) {
  client.put(node("n1"));
  client.put(servedPod("a", "10.0.0.1", true));
  client.put(servedPod("b", "10.0.0.2", false));
  run({"endpointslice", "endpoint"});
  client.put(service());
  ASSERT_TRUE(eventually(
      [&] { return client.all<EndpointSlice>().size() == 1 && client.find<Endpoints>("ns", "web"); }));
  auto slice = client.all<EndpointSlice>()[0];
  EXPECT_EQ(slice->endpoints.size(), 2u);
  EXPECT_EQ(slice->metadata.labels.get("endpointslice.kubernetes.io/managed-by"),
            "endpointslice-controller.k8s.io");
  EXPECT_EQ(*slice->ports[0].port, 8080);
  auto e = client.find<Endpoints>("ns", "web");
  ASSERT_EQ(e->subsets.size(), 1u);
  EXPECT_EQ(e->subsets[0].addresses[0].ip, "10.0.0.1");
  EXPECT_EQ(e->subsets[0].notReadyAddresses[0].ip, "10.0.0.2");
  makeReady(*client.find<Pod>("ns", "b"));
  ASSERT_TRUE(eventually([&] {
    auto s = client.all<EndpointSlice>()[0];
    return s->endpoints.size() == 2 && *s->endpoints[0].conditions.ready && *s->endpoints[1].conditions.ready;
  }));
  // A slice that somebody deletes comes back.
  ASSERT_TRUE(removeObject<EndpointSlice>(client, "ns", client.all<EndpointSlice>()[0]->metadata.name).ok());
  ASSERT_TRUE(eventually([&] { return client.all<EndpointSlice>().size() == 1; }));
}

TEST(SliceCoreTest, PortsStandInUpstreamsOrder) {
  Service s = service();
  s.metadata.uid = "u";
  s.spec.ports[0].appProtocol = codec::String("kubernetes.io/h2c");
  auto& dns = s.spec.ports.add();
  dns.name = "dns";
  dns.protocol = "UDP";
  dns.port = 53;
  dns.targetPort = codec::IntOrString(53);
  auto anyNode = [](std::string_view name) { return std::make_shared<const Node>(node(name)); };
  auto c = endpoints::reconcileSlices(s, {std::make_shared<Pod>(servedPod("p", "10.0.0.1", true))}, anyNode,
                                      {}, 100);
  ASSERT_EQ(c.create.size(), 1u);
  ASSERT_EQ(c.create[0].ports.size(), 2u);
  EXPECT_EQ(*c.create[0].ports[0].name, "dns");  // as recorded of 1.36.3
  EXPECT_EQ(*c.create[0].ports[1].name, "http");
}

TEST(MirrorTest, SlicesFollowTheEndpointsOfAServiceWithoutSelector) {
  Endpoints e;
  e.metadata.name = "web";
  e.metadata.namespace_ = "ns";
  e.metadata.uid = "u";
  e.metadata.labels["a"] = "b";
  auto& subset = e.subsets.add();
  subset.addresses.add().ip = "10.9.9.1";
  subset.notReadyAddresses.add().ip = "10.9.9.2";
  subset.ports.add().port = 8080;
  Service s = service();
  EXPECT_FALSE(endpoints::isMirrored(e, &s));
  EXPECT_FALSE(endpoints::isMirrored(e, nullptr));
  s.spec.selector.clear();
  EXPECT_TRUE(endpoints::isMirrored(e, &s));

  auto c = endpoints::mirrorEndpoints(e, {}, 1000);
  ASSERT_EQ(c.create.size(), 1u);
  EXPECT_EQ(c.create[0].endpoints.size(), 2u);
  EXPECT_EQ(c.create[0].metadata.labels.get("kubernetes.io/service-name"), "web");
  EXPECT_EQ(c.create[0].metadata.ownerReferences[0].kind, "Endpoints");
  auto made = std::make_shared<const EndpointSlice>(c.create[0]);
  c = endpoints::mirrorEndpoints(e, {made}, 1000);
  EXPECT_TRUE(c.create.empty() && c.update.empty() && c.remove.empty());
  e.subsets[0].ports[0].port = 8081;  // other ports: the slice is used again
  c = endpoints::mirrorEndpoints(e, {made}, 1000);
  ASSERT_EQ(c.update.size(), 1u);
  EXPECT_EQ(*c.update[0].ports[0].port, 8081);
  EXPECT_TRUE(c.create.empty() && c.remove.empty());
  e.subsets.clear();
  EXPECT_EQ(endpoints::mirrorEndpoints(e, {made}, 1000).remove.size(), 1u);
}

TEST(TtlTest, GrowsWithTheClusterAndShrinksLater) {
  ttl::Steps steps;
  for (int i = 0; i < 100; i++) steps.added();
  EXPECT_EQ(steps.seconds(), 0);
  steps.added();
  EXPECT_EQ(steps.seconds(), 15);
  for (int i = 0; i < 11; i++) steps.removed();
  EXPECT_EQ(steps.seconds(), 15);  // 90 nodes
  steps.removed();
  EXPECT_EQ(steps.seconds(), 0);
}

TEST_F(ControllerTest, NodesSayHowLongSecretsMayBeKept) {
  client.put(node("n1"));
  run({"ttl"});
  ASSERT_TRUE(eventually([&] {
    return client.find<Node>("", "n1")->metadata.annotations.get("node.alpha.kubernetes.io/ttl") == "0";
  }));
}

TEST(SliceCoreTest, SlicesAreFilledAndReused) {
  Service s = service();
  s.metadata.uid = "u";
  std::vector<PodPtr> pods;
  for (int i = 0; i < 5; i++) {
    pods.push_back(
        std::make_shared<Pod>(servedPod("p" + std::to_string(i), "10.0.0." + std::to_string(i), true)));
  }
  auto anyNode = [](std::string_view name) { return std::make_shared<const Node>(node(name)); };
  auto c = endpoints::reconcileSlices(s, pods, anyNode, {}, 2);
  EXPECT_EQ(c.create.size(), 3u);
  EXPECT_TRUE(c.update.empty());
  std::vector<endpoints::SlicePtr> existing;
  for (size_t i = 0; i < c.create.size(); i++) {
    c.create[i].metadata.name = "s" + std::to_string(i);
    existing.push_back(std::make_shared<EndpointSlice>(c.create[i]));
  }
  c = endpoints::reconcileSlices(s, pods, anyNode, existing, 2);
  EXPECT_TRUE(c.create.empty() && c.update.empty() && c.remove.empty());
  c = endpoints::reconcileSlices(s, {}, anyNode, existing, 2);
  EXPECT_EQ(c.update.size(), 1u);  // one becomes the placeholder
  EXPECT_EQ(c.update[0].endpoints.size(), 0u);
  EXPECT_EQ(c.remove.size(), 2u);
  c = endpoints::reconcileSlices(
      s, pods, [](std::string_view) { return nullptr; }, {}, 2);
  EXPECT_FALSE(c.error.ok());
}

TEST_F(ControllerTest, NamespacesGetAccountAndRootCa) {
  options.rootCa = "PEM";
  run({"serviceaccount", "root-ca-cert-publisher"});
  Namespace ns;
  ns.metadata.name = "team";
  client.put(ns);
  ASSERT_TRUE(eventually([&] {
    return client.find<ServiceAccount>("team", "default") &&
           client.find<ConfigMap>("team", "kube-root-ca.crt");
  }));
  EXPECT_EQ(client.find<ConfigMap>("team", "kube-root-ca.crt")->data.get("ca.crt"), "PEM");
  ASSERT_TRUE(removeObject<ServiceAccount>(client, "team", "default").ok());
  ASSERT_TRUE(eventually([&] { return client.find<ServiceAccount>("team", "default") != nullptr; }));
}

TEST_F(ControllerTest, ADeletedNamespaceIsEmptiedAndGoes) {
  options.namespaceDeletionDelay = std::chrono::milliseconds(1);
  run({"namespace"});
  Namespace ns;
  ns.metadata.name = "ns";
  ns.spec.finalizers.push_back("kubernetes");
  client.put(ns);
  client.put(servedPod("a", "10.0.0.1", true));
  ConfigMap c;
  c.metadata.name = "c";
  c.metadata.namespace_ = "ns";
  client.put(c);
  ASSERT_TRUE(removeObject<Namespace>(client, "", "ns").ok());
  // Its pod has a node, so it waits for a kubelet; nothing else is touched until then.
  ASSERT_TRUE(eventually([&] {
    auto n = client.find<Namespace>("", "ns");
    return n && n->status.conditions.size() == 5 && client.find<Pod>("ns", "a")->metadata.deletionTimestamp;
  }));
  EXPECT_TRUE(client.find<ConfigMap>("ns", "c"));
  ASSERT_TRUE(removeObject<Pod>(client, "ns", "a", {.gracePeriodSeconds = 0}).ok());
  ASSERT_TRUE(eventually([&] { return !client.find<Namespace>("", "ns"); }));
  EXPECT_FALSE(client.find<ConfigMap>("ns", "c"));
}

TEST(NamespaceCoreTest, Conditions) {
  api::core_v1::NamespaceStatus s;
  nscontroller::Findings f;
  f.remaining["configmaps."] = 2;
  f.finalizers["x/y"] = 1;
  EXPECT_TRUE(nscontroller::updateConditions(s, f, true, {1, 0}));
  EXPECT_FALSE(nscontroller::updateConditions(s, f, true, {2, 0}));
  EXPECT_EQ(s.conditions[3].message, "Some resources are remaining: configmaps. has 2 resource instances");
  EXPECT_EQ(s.conditions[4].message,
            "Some content in the namespace has finalizers remaining: x/y in 1 resource instances");
  EXPECT_EQ(s.conditions[0].reason, "ResourcesDiscovered");
}

ConfigMap owned(std::string_view name, const ObjectMeta& owner, const codec::TypeInfo& type) {
  ConfigMap c;
  c.metadata.name = name;
  c.metadata.namespace_ = "ns";
  c.metadata.ownerReferences.push_back(makeControllerRef(type, owner));
  return c;
}

TEST_F(ControllerTest, DependentsGoWithTheirOwner) {
  run({"garbagecollector"});
  ConfigMap plain;
  plain.metadata.name = "owner";
  plain.metadata.namespace_ = "ns";
  auto owner = client.put(plain);
  auto child = client.put(owned("child", owner->metadata, ConfigMap::kType));
  client.put(owned("grandchild", child->metadata, ConfigMap::kType));
  ASSERT_TRUE(removeObject<ConfigMap>(client, "ns", "owner", {.propagationPolicy = "Background"}).ok());
  ASSERT_TRUE(eventually([&] { return client.all<ConfigMap>().empty(); }));
  // An owner that never was.
  ObjectMeta ghost = plain.metadata;
  ghost.uid = "no-such-uid";
  client.put(owned("child", ghost, ConfigMap::kType));
  ASSERT_TRUE(eventually([&] { return client.all<ConfigMap>().empty(); }));
}

TEST_F(ControllerTest, ForegroundDeletionWaitsForDependents) {
  run({"garbagecollector"});
  ConfigMap plain;
  plain.metadata.name = "owner";
  plain.metadata.namespace_ = "ns";
  auto owner = client.put(plain);
  ConfigMap held = owned("child", owner->metadata, ConfigMap::kType);
  held.metadata.finalizers.push_back("test/held");
  client.put(held);
  ASSERT_TRUE(removeObject<ConfigMap>(client, "ns", "owner", {.propagationPolicy = "Foreground"}).ok());
  ASSERT_TRUE(eventually(
      [&] { return client.find<ConfigMap>("ns", "child")->metadata.deletionTimestamp.has_value(); }));
  EXPECT_TRUE(client.find<ConfigMap>("ns", "owner"));
  ConfigMap freed = *client.find<ConfigMap>("ns", "child");
  freed.metadata.finalizers.clear();
  ASSERT_TRUE(updateObject(client, freed).ok());
  ASSERT_TRUE(eventually([&] { return client.all<ConfigMap>().empty(); }));
}

TEST_F(ControllerTest, OrphansStay) {
  run({"garbagecollector"});
  ConfigMap plain;
  plain.metadata.name = "owner";
  plain.metadata.namespace_ = "ns";
  auto owner = client.put(plain);
  client.put(owned("child", owner->metadata, ConfigMap::kType));
  ASSERT_TRUE(eventually([&] { return client.watchCount() > 20; }));
  ASSERT_TRUE(removeObject<ConfigMap>(client, "ns", "owner", {.propagationPolicy = "Orphan"}).ok());
  ASSERT_TRUE(eventually([&] { return !client.find<ConfigMap>("ns", "owner"); }));
  ASSERT_TRUE(client.find<ConfigMap>("ns", "child"));
  EXPECT_TRUE(client.find<ConfigMap>("ns", "child")->metadata.ownerReferences.empty());
}

TEST_F(ControllerTest, ASilentNodeBecomesUnknownAndTainted) {
  options.nodeMonitorGracePeriod = std::chrono::milliseconds(50);
  client.put(node("n1"));
  client.put(node("n2"));
  client.put(servedPod("a", "10.0.0.1", true));
  run({"nodelifecycle"});
  // The second node goes on sending heartbeats, so that the cluster is not dark as a whole.
  auto beat = [&] {
    Node n = *client.find<Node>("", "n2");
    static int64_t tick = 1;
    n.status.conditions[0].lastHeartbeatTime = codec::Time(tick++);
    (void)updateStatus(client, n).ok();
  };
  ASSERT_TRUE(eventually([&] {
    beat();
    auto n = client.find<Node>("", "n1");
    return n->status.conditions.size() == 4 && n->spec.taints.size() == 2;
  }));
  auto n = client.find<Node>("", "n1");
  EXPECT_EQ(n->status.conditions[0].reason, "NodeStatusUnknown");
  EXPECT_EQ(n->spec.taints[0].key, nodelifecycle::kUnreachable);
  ASSERT_TRUE(eventually([&] { return !isPodReady(*client.find<Pod>("ns", "a")); }));
  EXPECT_TRUE(client.find<Node>("", "n2")->spec.taints.empty());
}

TEST_F(ControllerTest, PodsLeaveTaintedNodes) {
  run({"taint-eviction-controller"});
  client.put(servedPod("goes", "10.0.0.1", true));
  Pod stays = servedPod("stays", "10.0.0.2", true);
  stays.spec.tolerations.add().operator_ = "Exists";
  client.put(stays);
  Node n = node("n1");
  auto& t = n.spec.taints.add();
  t.key = nodelifecycle::kNotReady;
  t.effect = "NoExecute";
  client.put(n);
  ASSERT_TRUE(
      eventually([&] { return client.find<Pod>("ns", "goes")->metadata.deletionTimestamp.has_value(); }));
  EXPECT_EQ(findPodCondition(*client.find<Pod>("ns", "goes"), "DisruptionTarget")->reason,
            "DeletionByTaintManager");
  EXPECT_FALSE(client.find<Pod>("ns", "stays")->metadata.deletionTimestamp);
}

TEST(TaintEvictionTest, TheShortestTolerationCounts) {
  Pod p;
  api::core_v1::Taint a, b;
  a.key = "a";
  b.key = "b";
  a.effect = b.effect = "NoExecute";
  EXPECT_EQ(nodelifecycle::toleratedTime(p, {a}), Duration(0));
  auto add = [&](std::string_view key, std::optional<int64_t> seconds) {
    auto& t = p.spec.tolerations.add();
    t.key = key;
    t.operator_ = "Exists";
    t.tolerationSeconds = seconds;
  };
  add("a", 300);
  EXPECT_EQ(nodelifecycle::toleratedTime(p, {a}), std::chrono::seconds(300));
  EXPECT_EQ(nodelifecycle::toleratedTime(p, {a, b}), Duration(0));
  add("b", 60);
  EXPECT_EQ(nodelifecycle::toleratedTime(p, {a, b}), std::chrono::seconds(60));
}

TEST_F(ControllerTest, NodesGetRanges) {
  options.allocateNodeCidrs = true;
  options.clusterCidr = "10.244.0.0/23";
  run({"nodeipam"});
  client.put(node("n1"));
  ASSERT_TRUE(eventually([&] { return client.find<Node>("", "n1")->spec.podCIDR == "10.244.0.0/24"; }));
  client.put(node("n2"));
  ASSERT_TRUE(eventually([&] { return client.find<Node>("", "n2")->spec.podCIDR == "10.244.1.0/24"; }));
  ASSERT_TRUE(removeObject<Node>(client, "", "n1").ok());
  client.put(node("n3"));
  ASSERT_TRUE(eventually([&] { return client.find<Node>("", "n3")->spec.podCIDR == "10.244.0.0/24"; }));
}

TEST(CidrSetTest, Ranges) {
  auto set = nodeipam::CidrSet::make(*nodeipam::Cidr::parse("fd00::/60"), 64);
  ASSERT_TRUE(set.ok());
  EXPECT_EQ(set->allocate()->str(), "fd00::/64");
  EXPECT_EQ(set->allocate()->str(), "fd00:0:0:1::/64");
  ASSERT_TRUE(set->occupy(*nodeipam::Cidr::parse("fd00:0:0:2::/63")).ok());
  EXPECT_EQ(set->allocate()->str(), "fd00:0:0:4::/64");
  EXPECT_FALSE(set->occupy(*nodeipam::Cidr::parse("fd01::/64")).ok());
  EXPECT_FALSE(nodeipam::Cidr::parse("10.0.0.0/33").ok());
  auto range = nodeipam::Cidr::parse("10.96.0.0/12");
  EXPECT_TRUE(range->contains(*nodeipam::Cidr::parse("10.111.255.255/32")));
  EXPECT_FALSE(range->contains(*nodeipam::Cidr::parse("10.112.0.0/32")));
  EXPECT_FALSE(range->contains(*nodeipam::Cidr::parse("10.0.0.0/8")));
}

TEST(PodGcTest, EvictedPodsGoFirst) {
  std::vector<PodPtr> pods;
  for (int i = 0; i < 4; i++) {
    auto p = std::make_shared<Pod>();
    p->metadata.name = "p" + std::to_string(i);
    p->metadata.creationTimestamp = codec::Time(100 + i);
    p->status.phase = i == 0 ? "Running" : "Failed";
    if (i == 3) p->status.reason = "Evicted";
    pods.push_back(p);
  }
  auto gone = podgc::surplus(pods, 1);
  ASSERT_EQ(gone.size(), 2u);
  EXPECT_EQ(gone[0]->metadata.name, "p3");
  EXPECT_EQ(gone[1]->metadata.name, "p1");
}

TEST(GarbageCollectorCoreTest, Decisions) {
  using garbagecollector::Decision;
  using garbagecollector::OwnerState;
  ObjectMeta m;
  m.ownerReferences.add().uid = "a";
  m.ownerReferences.add().uid = "b";
  auto d = garbagecollector::decide(m, {OwnerState::kSolid, OwnerState::kAbsent}, false, false);
  EXPECT_EQ(d.act, Decision::Act::kDropReferences);
  EXPECT_EQ(d.drop, std::vector<std::string>{"b"});
  d = garbagecollector::decide(m, {OwnerState::kAbsent, OwnerState::kAbsent}, false, false);
  EXPECT_EQ(d.policy, "Background");
  d = garbagecollector::decide(m, {OwnerState::kWaiting, OwnerState::kAbsent}, true, false);
  EXPECT_EQ(d.policy, "Foreground");
  EXPECT_EQ(garbagecollector::decide(m, {OwnerState::kSolid, OwnerState::kSolid}, true, false).act,
            Decision::Act::kNothing);
}

TEST(ControllerTableTest, Selection) {
  auto rows = selectControllers({"*", "-replicaset"});
  ASSERT_TRUE(rows.ok());
  EXPECT_EQ(rows->size(), controllerTable().size() - 3);
  EXPECT_FALSE(selectControllers({"nonsense"}).ok());
  EXPECT_EQ(selectControllers({"deployment"})->size(), 1u);
}

}  // namespace
}  // namespace km::controllers
