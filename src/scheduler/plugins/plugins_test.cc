#include "scheduler/plugins/plugins.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "scheduler/testing.h"

namespace km::scheduler {
namespace {

using namespace testing;
using ::testing::StartsWith;

constexpr std::string_view kHelpless =
    " no new claims to deallocate, preemption: 0/1 nodes are available: 1 Preemption is not helpful for "
    "scheduling.";
constexpr std::string_view kVictimless =
    " no new claims to deallocate, preemption: 0/1 nodes are available: 1 No preemption victims found for "
    "incoming pod.";

std::string none(std::string_view why, std::string_view rest) {
  return fmt::format("0/1 nodes are available: 1 {}.{}", why, rest);
}

api::core_v1::Taint taint(std::string_view key, std::string_view effect) {
  api::core_v1::Taint t;
  t.key = key;
  t.effect = effect;
  return t;
}

TEST(Fit, SaysWhatIsMissing) {
  World w;
  w.node({.name = "n", .cpu = "1", .pods = "2"});
  EXPECT_EQ(w.outcome(makePod("big", "2")), none("Insufficient cpu", kHelpless));
  EXPECT_EQ(w.outcome(makePod("a", "600m")), "n");
  EXPECT_EQ(w.outcome(makePod("b", "600m")), none("Insufficient cpu", kVictimless));
  EXPECT_EQ(w.outcome(makePod("c", "100m")), "n");
  EXPECT_EQ(w.outcome(makePod("d")), none("Too many pods", kVictimless));
  w.gone("big");
  Pod gpu = makePod("e");
  gpu.spec.containers[0].resources.requests["example.com/gpu"] = quantity("1");
  World v;
  v.node({.name = "n"});
  EXPECT_EQ(v.outcome(gpu), none("Insufficient example.com/gpu", kHelpless));
}

TEST(Fit, StrategiesPreferTheEmptyOrTheFullNode) {
  for (auto [strategy, node] : {std::pair(ScoringStrategy::kLeastAllocated, "empty"),
                                std::pair(ScoringStrategy::kMostAllocated, "full"),
                                std::pair(ScoringStrategy::kRequestedToCapacityRatio, "full")}) {
    ProfileConfig config;
    config.args.strategy = strategy;
    config.args.shape = {{0, 0}, {100, 10}};
    World w(config);
    w.node({.name = "empty"});
    w.node({.name = "full"});
    Pod big = placed(makePod("x", "2"), "full");
    big.spec.containers[0].resources.requests["memory"] = quantity("4Gi");
    w.pod(big);
    Pod p = makePod("p", "100m");
    p.spec.containers[0].resources.requests["memory"] = quantity("200Mi");
    EXPECT_EQ(w.outcome(p), node);
  }
}

TEST(Taints, RefuseOrCost) {
  World w;
  Node n = makeNode({.name = "n"});
  n.spec.taints.push_back(taint("k", "NoSchedule"));
  w.node(n);
  EXPECT_EQ(w.outcome(makePod("a")), none("node(s) had untolerated taint(s)", kHelpless));
  Pod p = makePod("b");
  auto& t = p.spec.tolerations.add();
  t.key = "k";
  t.operator_ = "Exists";
  EXPECT_EQ(w.outcome(p), "n");
  Node soft = makeNode({.name = "soft"});
  soft.spec.taints.push_back(taint("s", "PreferNoSchedule"));
  World v;
  v.node(soft);
  v.node({.name = "z"});
  EXPECT_EQ(v.outcome(makePod("c")), "z");
}

TEST(NodeRules, UnschedulablePortsAndAffinity) {
  World w;
  Node n = makeNode({.name = "n", .labels = {{"disk", "ssd"}}});
  n.spec.unschedulable = true;
  w.node(n);
  EXPECT_EQ(w.outcome(makePod("a")), none("node(s) were unschedulable", kHelpless));
  n.spec.unschedulable = false;
  w.node(n);
  w.settle();
  EXPECT_EQ(w.where["a"], "n");
  Pod port = makePod("p1");
  auto& cp = port.spec.containers[0].ports.add();
  cp.containerPort = cp.hostPort = 80;
  EXPECT_EQ(w.outcome(port), "n");
  port.metadata.name = "p2";
  port.metadata.uid = "uid-p2";
  EXPECT_EQ(w.outcome(port), none("node(s) didn't have free ports for the requested pod ports", kVictimless));
  w.gone("p1");
  w.settle();
  EXPECT_EQ(w.where["p2"], "n");
  Pod selecting = makePod("s");
  selecting.spec.nodeSelector["disk"] = "hdd";
  EXPECT_EQ(w.outcome(selecting), none("node(s) didn't match Pod's node affinity/selector", kHelpless));
  w.node(makeNode({.name = "m", .labels = {{"disk", "hdd"}}}));
  w.settle();
  EXPECT_EQ(w.where["s"], "m");
}

TEST(NodeAffinity, NamesLeaveOneNode) {
  World w;
  w.node({.name = "a"});
  w.node({.name = "b", .cpu = "1"});
  Pod p = makePod("p", "100m");
  auto& f = p.spec.affinity.ensure()
                .nodeAffinity.ensure()
                .requiredDuringSchedulingIgnoredDuringExecution.ensure()
                .nodeSelectorTerms.add()
                .matchFields.add();
  f.key = "metadata.name";
  f.operator_ = "In";
  f.values.push_back("b");
  EXPECT_EQ(w.outcome(p), "b");
  Pod q = p;
  q.metadata.name = "q";
  q.metadata.uid = "uid-q";
  q.spec.containers[0].resources.requests["cpu"] = quantity("2");
  EXPECT_EQ(w.outcome(q),
            "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) didn't satisfy plugin(s) [NodeAffinity]. "
            "no new claims to "
            "deallocate, preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.");
}

api::core_v1::TopologySpreadConstraint spread(std::string_view key, int skew, std::string_view app,
                                              std::string_view when = "DoNotSchedule") {
  api::core_v1::TopologySpreadConstraint c;
  c.maxSkew = skew;
  c.topologyKey = key;
  c.whenUnsatisfiable = when;
  c.labelSelector = selects(app);
  return c;
}

TEST(Spread, KeepsTheSkew) {
  World w;
  for (const char* n : {"a1", "a2", "b1", "c1"})
    w.node({.name = n, .labels = {{"zone", std::string(1, n[0])}}});
  std::map<char, int> zones;
  for (int i = 0; i < 9; i++) {
    Pod p = makePod(fmt::format("p{}", i), "100m", "web");
    p.spec.topologySpreadConstraints.push_back(spread("zone", 1, "web"));
    zones[w.outcome(p)[0]]++;
  }
  EXPECT_EQ(zones, (std::map<char, int>{{'a', 3}, {'b', 3}, {'c', 3}}));
}

TEST(Spread, ANodeWithoutTheLabelAndAFullPlace) {
  World w;
  w.node({.name = "n"});
  Pod p = makePod("p", "", "web");
  p.spec.topologySpreadConstraints.push_back(spread("zone", 1, "web"));
  EXPECT_EQ(w.outcome(p),
            none("node(s) didn't match pod topology spread constraints (missing required label)", kHelpless));
  World v;
  v.node({.name = "a", .labels = {{"zone", "1"}}});
  Node cordoned = makeNode({.name = "b", .labels = {{"zone", "2"}}});
  cordoned.spec.unschedulable = true;
  v.node(cordoned);
  EXPECT_EQ(v.outcome(p), "a");
  Pod q = makePod("q", "", "web");
  q.spec.topologySpreadConstraints.push_back(spread("zone", 1, "web"));
  EXPECT_EQ(v.outcome(q).substr(0, 110),
            "0/2 nodes are available: 1 node(s) didn't match pod topology spread constraints, 1 node(s) were "
            "unschedulable.");
  // It does not count where its taints are honoured.
  cordoned.spec.taints.push_back(taint("node.kubernetes.io/unschedulable", "NoSchedule"));
  v.node(cordoned);
  Pod r = makePod("r", "", "web");
  auto c = spread("zone", 1, "web");
  c.nodeTaintsPolicy = codec::String("Honor");
  r.spec.topologySpreadConstraints.push_back(c);
  EXPECT_EQ(v.outcome(r), "a");
}

TEST(Spread, MinDomains) {
  World w;
  w.node({.name = "a", .labels = {{"zone", "1"}}});
  auto c = spread("zone", 1, "web");
  c.minDomains = 2;
  for (auto [name, fits] : {std::pair("p", true), std::pair("q", false)}) {
    Pod p = makePod(name, "", "web");
    p.spec.topologySpreadConstraints.push_back(c);
    EXPECT_EQ(w.outcome(p) == "a", fits);
  }
  // Another place takes the second.
  w.node({.name = "b", .labels = {{"zone", "2"}}});
  w.settle();
  EXPECT_EQ(w.where["q"], "b");
}

TEST(Spread, SoftConstraintsPrefer) {
  World w;
  w.node({.name = "a", .labels = {{"zone", "1"}}});
  w.node({.name = "b", .labels = {{"zone", "2"}}});
  w.pod(placed(makePod("x", "", "web"), "a"));
  Pod p = makePod("p", "", "web");
  p.spec.topologySpreadConstraints.push_back(spread("zone", 1, "web", "ScheduleAnyway"));
  EXPECT_EQ(w.outcome(p), "b");
}

Pod near(std::string_view name, std::string_view app, std::string_view wants, std::string_view key,
         bool away) {
  Pod p = makePod(name, "", app);
  auto& affinity = p.spec.affinity.ensure();
  auto& t = away ? affinity.podAntiAffinity.ensure().requiredDuringSchedulingIgnoredDuringExecution.add()
                 : affinity.podAffinity.ensure().requiredDuringSchedulingIgnoredDuringExecution.add();
  t.topologyKey = key;
  t.labelSelector = selects(wants);
  return p;
}

TEST(PodAffinity, NearOthersOfTheZone) {
  World w;
  w.node({.name = "a1", .labels = {{"zone", "a"}}, .cpu = "1"});
  w.node({.name = "a2", .labels = {{"zone", "a"}}});
  w.node({.name = "b1", .labels = {{"zone", "b"}}});
  w.pod(placed(makePod("x", "1", "db"), "a1"));
  Pod p = near("p", "web", "db", "zone", false);
  p.spec.containers[0].resources.requests["cpu"] = quantity("2");
  EXPECT_EQ(w.outcome(p), "a2");
  EXPECT_THAT(w.outcome(near("q", "web", "cache", "zone", false)),
              StartsWith("0/3 nodes are available: 3 node(s) didn't match pod affinity rules."));
  // The first of a kind may go anywhere, then the others follow.
  std::string first = w.outcome(near("r", "cache", "cache", "kubernetes.io/hostname", false));
  w.settle();
  EXPECT_EQ(w.outcome(near("s", "cache", "cache", "kubernetes.io/hostname", false)), first);
}

TEST(PodAffinity, AwayFromOthersAndTheyFromUs) {
  World w;
  w.node({.name = "a"});
  w.node({.name = "b"});
  std::set<std::string> used;
  for (const char* n : {"p", "q"})
    used.insert(w.outcome(near(n, "web", "web", "kubernetes.io/hostname", true)));
  EXPECT_EQ(used.size(), 2u);
  EXPECT_THAT(w.outcome(near("r", "web", "web", "kubernetes.io/hostname", true)),
              StartsWith("0/2 nodes are available: 2 node(s) didn't match pod anti-affinity rules."));
  EXPECT_THAT(
      w.outcome(makePod("s", "", "web")),
      StartsWith("0/2 nodes are available: 2 node(s) didn't satisfy existing pods anti-affinity rules."));
  EXPECT_EQ(w.outcome(makePod("t", "", "db")).size(), 1u);
  // One goes: the one that waits longest takes its place.
  w.gone("p");
  w.settle();
  EXPECT_TRUE(w.where.contains("r") != w.where.contains("s"));
}

TEST(PodAffinity, Preferences) {
  World w;
  w.node({.name = "a"});
  w.node({.name = "b"});
  w.pod(placed(makePod("x", "", "db"), "b"));
  for (auto [away, node] : {std::pair(false, "b"), std::pair(true, "a")}) {
    Pod p = makePod(away ? "away" : "near");
    auto& affinity = p.spec.affinity.ensure();
    auto& t = away ? affinity.podAntiAffinity.ensure().preferredDuringSchedulingIgnoredDuringExecution.add()
                   : affinity.podAffinity.ensure().preferredDuringSchedulingIgnoredDuringExecution.add();
    t.weight = 100;
    t.podAffinityTerm.topologyKey = "kubernetes.io/hostname";
    t.podAffinityTerm.labelSelector = selects("db");
    EXPECT_EQ(w.outcome(p), node);
  }
}

TEST(Scores, ImagesAndNodeAffinity) {
  World w;
  w.node({.name = "a"});
  Node b = makeNode({.name = "b"});
  auto& image = b.status.images.add();
  image.names.push_back("registry.example/app:1");
  image.sizeBytes = 900LL << 20;
  w.node(b);
  EXPECT_EQ(w.outcome(makePod("p")), "b");
  Pod q = makePod("q");
  q.spec.containers[0].image = "other";
  auto& t =
      q.spec.affinity.ensure().nodeAffinity.ensure().preferredDuringSchedulingIgnoredDuringExecution.add();
  t.weight = 10;
  auto& e = t.preference.matchExpressions.add();
  e.key = "kubernetes.io/hostname";
  e.operator_ = "In";
  e.values.push_back("a");
  EXPECT_EQ(w.outcome(q), "a");
  EXPECT_EQ(normalizedImage("host:5000/app"), "host:5000/app:latest");
  EXPECT_EQ(normalizedImage("app:1"), "app:1");
}

}  // namespace
}  // namespace km::scheduler
