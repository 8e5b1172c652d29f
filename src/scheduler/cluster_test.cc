#include "scheduler/cluster.h"

#include <gtest/gtest.h>

#include "scheduler/testing.h"

namespace km::scheduler {
namespace {

using namespace testing;

NodePtr nodePtr(const NodeSpec& s) {
  return std::make_shared<Node>(makeNode(s));
}
PodPtr podPtr(Pod p) {
  return std::make_shared<Pod>(std::move(p));
}

TEST(Resources, InitStepsSidecarsAndOverhead) {
  Pod p = makePod("p", "100m");
  p.spec.containers.push_back(makePod("q", "200m").spec.containers[0]);
  p.spec.initContainers.push_back(makePod("i", "500m").spec.containers[0]);
  EXPECT_EQ(podRequests(p).milliCpu, 500);
  p.spec.initContainers[0].restartPolicy = codec::String("Always");
  EXPECT_EQ(podRequests(p).milliCpu, 800);
  p.spec.overhead["cpu"] = quantity("50m");
  EXPECT_EQ(podRequests(p).milliCpu, 850);
  p.spec.resources.emplace().requests["cpu"] = quantity("2");
  EXPECT_EQ(podRequests(p).milliCpu, 2050);
}

TEST(Cluster, CountsWhatPodsNeed) {
  Cluster c;
  c.setNode(nodePtr({.name = "n"}));
  auto p = podPtr(makePod("p", "800m"));
  NodeId n = c.nodes().find("n");
  c.assume(p, c.classOf(*p), n);
  EXPECT_TRUE(c.isAssumed("uid-p"));
  EXPECT_EQ(c.nodes().usedCpu[n], 800);
  c.forget("uid-p");
  EXPECT_EQ(c.nodes().usedCpu[n], 0);
  c.assume(p, c.classOf(*p), n);
  c.setPod(podPtr(placed(*p, "n")));
  EXPECT_FALSE(c.isAssumed("uid-p"));
  EXPECT_EQ(c.nodes().usedCpu[n], 800);
  EXPECT_EQ(c.nodes().podCount[n], 1);
}

TEST(Cluster, ANodeThatIsGoneKeepsItsPodsUntilTheyGo) {
  Cluster c;
  c.setNode(nodePtr({.name = "n"}));
  c.setPod(podPtr(placed(makePod("p", "1"), "n")));
  c.removeNode("n");
  EXPECT_EQ(c.nodes().count(), 0u);
  EXPECT_NE(c.nodes().find("n"), kNoNode);
  c.removePod("uid-p");
  EXPECT_EQ(c.nodes().find("n"), kNoNode);
  c.setNode(nodePtr({.name = "m"}));
  EXPECT_EQ(c.nodes().usedCpu[c.nodes().find("m")], 0);
}

TEST(Cluster, EqualPodsShareAClass) {
  Cluster c;
  EXPECT_EQ(c.classOf(makePod("p", "1", "a")), c.classOf(makePod("q", "1", "a")));
  EXPECT_NE(c.classOf(makePod("p", "1", "a")), c.classOf(makePod("q", "1", "b")));
  EXPECT_NE(c.classOf(makePod("p", "1")), c.classOf(makePod("q", "2")));
}

TEST(Cluster, ZonesTakeTurns) {
  Cluster c;
  for (const char* n : {"a1", "a2", "b1"}) {
    c.setNode(nodePtr({.name = n, .labels = {{"topology.kubernetes.io/zone", std::string(1, n[0])}}}));
  }
  std::vector<std::string> order;
  for (NodeId n : c.nodes().order()) order.push_back(c.nodes().row(n).name);
  EXPECT_EQ(order, (std::vector<std::string>{"a1", "b1", "a2"}));
}

TEST(Counters, FollowPodsNodesAndTheirLabels) {
  Cluster c;
  c.setNode(nodePtr({.name = "a", .labels = {{"zone", "1"}}}));
  c.setNode(nodePtr({.name = "b", .labels = {{"zone", "2"}}}));
  c.setPod(podPtr(placed(makePod("p", "", "web"), "a")));
  auto counter = c.counter({{{"ns"}, std::nullopt, *api::LabelSelector::parse("app=web")}}, false);
  auto zones = counter->over(c.nodes(), "zone");
  NodeId a = c.nodes().find("a"), b = c.nodes().find("b");
  EXPECT_EQ(zones->at(a), 1);
  EXPECT_EQ(zones->least(), 0);
  c.setPod(podPtr(placed(makePod("q", "", "web"), "b")));
  c.setPod(podPtr(placed(makePod("r", "", "db"), "b")));
  EXPECT_EQ(zones->at(b), 1);
  EXPECT_EQ(zones->least(), 1);
  EXPECT_EQ(zones->all(), 2);
  // A pod that is being deleted counts no more here.
  Pod going = placed(makePod("q", "", "web"), "b");
  going.metadata.deletionTimestamp = codec::Time(int64_t{1});
  c.setPod(podPtr(going));
  EXPECT_EQ(zones->at(b), 0);
  c.setNode(nodePtr({.name = "b", .labels = {{"zone", "1"}}}));
  zones->refresh();
  EXPECT_EQ(zones->domains(), 1);
  c.removePod("uid-p");
  EXPECT_EQ(zones->all(), 0);
  EXPECT_EQ(zones->least(), 0);
}

TEST(Counters, NamespaceLabels) {
  Cluster c;
  c.setNode(nodePtr({.name = "a"}));
  c.setPod(podPtr(placed(makePod("p", "", "web"), "a")));
  PodSelection s;
  s.namespaceSelector = *api::LabelSelector::parse("team=x");
  s.selector = *api::LabelSelector::parse("app=web");
  auto counter = c.counter({s}, true);
  EXPECT_EQ(counter->total(), 0);
  Labels labels;
  labels["team"] = "x";
  c.setNamespace("ns", labels);
  EXPECT_EQ(counter->total(), 1);
  c.setNamespace("ns", {});
  EXPECT_EQ(counter->total(), 0);
}

TEST(Cluster, TryingOutLeavesNothing) {
  Cluster c;
  c.setNode(nodePtr({.name = "a"}));
  c.setPod(podPtr(placed(makePod("p", "1", "web"), "a")));
  auto counter = c.counter({{{"ns"}, std::nullopt, *api::LabelSelector::parse("app=web")}}, false);
  NodeId a = c.nodes().find("a");
  PodEntry* e = c.nodes().row(a).pods[0];
  c.lift(*e);
  EXPECT_EQ(counter->on(a), 0);
  EXPECT_EQ(c.nodes().usedCpu[a], 0);
  c.putBack(*e);
  EXPECT_EQ(counter->on(a), 1);
  EXPECT_EQ(c.nodes().usedCpu[a], 1000);
  auto other = c.place(podPtr(makePod("q", "2", "web")), a);
  EXPECT_EQ(counter->on(a), 2);
  c.lift(*other);
  EXPECT_EQ(counter->on(a), 1);
}

}  // namespace
}  // namespace km::scheduler
