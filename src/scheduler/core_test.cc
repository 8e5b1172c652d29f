#include "scheduler/core.h"

#include <gtest/gtest.h>

#include "scheduler/testing.h"

namespace km::scheduler {
namespace {

using namespace testing;
using std::chrono::seconds;

Pod ranked(std::string_view name, std::string_view cpu, int priority) {
  Pod p = makePod(name, cpu);
  p.spec.priority = priority;
  return p;
}

TEST(Core, WithoutNodesAPodWaitsForOne) {
  World w;
  EXPECT_EQ(w.outcome(makePod("p")), "no nodes available to schedule pods");
  w.settle();
  EXPECT_EQ(w.writer.failures.size(), 1u);
  w.node({.name = "n"});
  w.settle();
  EXPECT_EQ(w.where["p"], "n");
}

TEST(Core, GatesHoldAPodBack) {
  World w;
  w.node({.name = "n"});
  Pod p = makePod("p");
  p.spec.schedulingGates.add().name = "g";
  EXPECT_EQ(w.outcome(p), "");
  p.spec.schedulingGates.clear();
  EXPECT_EQ(w.outcome(p), "n");
}

TEST(Core, OnlyItsOwnPods) {
  World w;
  w.node({.name = "n"});
  Pod p = makePod("p");
  p.spec.schedulerName = "other";
  EXPECT_EQ(w.outcome(p), "");
}

TEST(Core, ABindingThatFailsGivesTheRoomBack) {
  World w;
  w.node({.name = "n", .cpu = "1"});
  w.pod(makePod("p", "1"));
  ASSERT_TRUE(w.core->attempt());
  auto [pod, node] = w.writer.bound.at(0);
  w.writer.bound.clear();
  w.core->bound(pod, node, errors::internal("broken"));
  EXPECT_EQ(w.writer.failures.at(0).reason, "SchedulerError");
  EXPECT_EQ(w.writer.failures.at(0).message, "binding rejected: Internal error occurred: broken");
  EXPECT_FALSE(w.core->attempt());
  w.clock.time += seconds(1);
  w.settle();
  EXPECT_EQ(w.where["p"], "n");
}

TEST(Core, ABindingThatSomeoneElseMade) {
  World w;
  w.node({.name = "n"});
  w.pod(makePod("p"));
  ASSERT_TRUE(w.core->attempt());
  auto [pod, node] = w.writer.bound.at(0);
  w.core->bound(pod, node, errors::conflict({"", "pods/binding"}, "p", "pod p is already assigned to node \"m\""));
  EXPECT_TRUE(w.writer.failures.empty());
  EXPECT_EQ(w.core->queue().backingOff(), 1u);
  w.pod(placed(makePod("p"), "m"));
  EXPECT_EQ(w.core->queue().backingOff(), 0u);
}

TEST(Core, APodThatGoesWhileItIsBound) {
  World w;
  w.node({.name = "n"});
  w.pod(makePod("p", "1"));
  ASSERT_TRUE(w.core->attempt());
  auto [pod, node] = w.writer.bound.at(0);
  w.gone("p");
  w.core->bound(pod, node, errors::notFound({"", "pods"}, "p"));
  w.clock.time += seconds(20);
  EXPECT_FALSE(w.core->attempt());
  EXPECT_EQ(w.core->cluster().pods(), 0u);
}

TEST(Core, APodThatFailsIsTriedAgainWhenRoomComes) {
  World w;
  w.node({.name = "n", .cpu = "1"});
  EXPECT_EQ(w.outcome(makePod("a", "1")), "n");
  w.outcome(makePod("b", "1"));
  w.pod(placed(makePod("c", "", "x"), "n"));  // a pod that comes is no help
  w.settle();
  EXPECT_EQ(w.writer.failures.size(), 1u);
  w.gone("a");
  w.settle();
  EXPECT_EQ(w.where["b"], "n");
}

TEST(Core, NodesTakeTurnsAmongEquals) {
  World w;
  for (int i = 0; i < 200; i++) w.node({.name = fmt::format("n{:03}", i)});
  std::map<std::string, int> used;
  for (int i = 0; i < 400; i++) used[w.outcome(makePod(fmt::format("p{}", i), "100m"))]++;
  EXPECT_GT(used.size(), 150u);
  for (const auto& [node, n] : used) EXPECT_LE(n, 5) << node;
}

TEST(Preemption, TheFewestAndLeastImportantGo) {
  World w;
  w.node({.name = "n", .cpu = "4"});
  w.pod(placed(ranked("low", "1", 1), "n"));
  w.pod(placed(ranked("lower", "1", 0), "n"));
  w.pod(placed(ranked("high", "2", 100), "n"));
  EXPECT_EQ(w.outcome(ranked("p", "1", 50)), "0/1 nodes are available: 1 Insufficient cpu.");
  ASSERT_EQ(w.writer.evicted.size(), 1u);
  EXPECT_EQ(w.writer.evicted[0].victims, std::vector<std::string>{"lower"});
  EXPECT_EQ(w.writer.evicted[0].node, "n");
  EXPECT_EQ(w.writer.failures[0].nominated, "n");
  // The room is kept: a pod of lower priority does not take it.
  w.core->preempted(w.writer.evicted[0].preemptor, true);
  w.gone("lower");
  w.pod(ranked("late", "1", 10));
  w.settle();
  EXPECT_EQ(w.where["p"], "n");
  EXPECT_FALSE(w.where.contains("late"));
}

TEST(Preemption, ANominatedPodsRoomIsItsOwn) {
  World w;
  w.node({.name = "n", .cpu = "1"});
  w.pod(placed(ranked("v", "1", 0), "n"));
  w.outcome(ranked("p", "1", 50));
  w.core->preempted(w.writer.evicted.at(0).preemptor, true);
  Pod other = ranked("other", "1", 10);
  w.pod(other);
  // The victim went, but the event that tells the preemptor is not looked at yet: other has to wait, too.
  EXPECT_EQ(w.outcome(ranked("x", "1", 5)).substr(0, 44), "0/1 nodes are available: 1 Insufficient cpu.");
  w.gone("v");
  w.settle();
  EXPECT_EQ(w.where["p"], "n");
  EXPECT_FALSE(w.where.contains("other"));
}

TEST(Preemption, HeldBackWhileItsVictimsAreTold) {
  World w;
  w.node({.name = "n", .cpu = "1"});
  w.pod(placed(ranked("v", "1", 0), "n"));
  w.outcome(ranked("p", "1", 50));
  w.gone("v");
  w.settle();
  EXPECT_FALSE(w.where.contains("p"));
  EXPECT_EQ(w.writer.failures.size(), 1u);
  w.core->preempted(w.writer.evicted.at(0).preemptor, true);
  w.settle();
  EXPECT_EQ(w.where["p"], "n");
}

TEST(Preemption, NeverAndNotHelpful) {
  World w;
  w.node({.name = "n", .cpu = "1"});
  w.pod(placed(ranked("v", "1", 0), "n"));
  Pod p = ranked("p", "1", 50);
  p.spec.preemptionPolicy = codec::String("Never");
  EXPECT_EQ(w.outcome(p),
            "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: not "
            "eligible due to "
            "preemptionPolicy=Never.");
  EXPECT_EQ(w.outcome(ranked("q", "1", 0)),
            "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 nodes "
            "are available: 1 No "
            "preemption victims found for incoming pod.");
  EXPECT_TRUE(w.writer.evicted.empty());
}

TEST(Preemption, PicksTheNodeWhoseVictimsMatterLeast) {
  World w;
  w.node({.name = "a", .cpu = "2"});
  w.node({.name = "b", .cpu = "2"});
  w.node({.name = "c", .cpu = "2"});
  w.pod(placed(ranked("a1", "2", 5), "a"));
  w.pod(placed(ranked("b1", "1", 1), "b"));
  w.pod(placed(ranked("b2", "1", 1), "b"));
  w.pod(placed(ranked("c1", "2", 1), "c"));
  w.outcome(ranked("p", "2", 50));
  EXPECT_EQ(w.writer.evicted.at(0).victims, std::vector<std::string>{"c1"});
}

TEST(Preemption, AwayFromThoseThatStandInTheWay) {
  World w;
  w.node({.name = "n"});
  Pod v = placed(makePod("v", "", "db"), "n");
  w.pod(v);
  Pod p = ranked("p", "", 50);
  auto& t =
      p.spec.affinity.ensure().podAntiAffinity.ensure().requiredDuringSchedulingIgnoredDuringExecution.add();
  t.topologyKey = "kubernetes.io/hostname";
  t.labelSelector = selects("db");
  EXPECT_EQ(w.outcome(p), "0/1 nodes are available: 1 node(s) didn't match pod anti-affinity rules.");
  EXPECT_EQ(w.writer.evicted.at(0).victims, std::vector<std::string>{"v"});
}

}  // namespace
}  // namespace km::scheduler
