#include "scheduler/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace km::scheduler {
namespace {

using ::testing::HasSubstr;

constexpr std::string_view kHead =
    "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n";

Config parsed(std::string_view rest) {
  auto c = parseConfig(std::string(kHead) + std::string(rest));
  EXPECT_TRUE(c.ok()) << c.status().message();
  return c.ok() ? std::move(*c) : Config();
}

std::string failure(std::string_view rest) {
  auto c = parseConfig(std::string(kHead) + std::string(rest));
  return c.ok() ? "" : std::string(c.status().message());
}

const PluginChoice* find(const ProfileConfig& p, std::string_view name) {
  auto it = std::find_if(p.plugins.begin(), p.plugins.end(), [&](const auto& c) { return c.name == name; });
  return it == p.plugins.end() ? nullptr : &*it;
}

TEST(Config, AnEmptyFileIsTheDefault) {
  Config c = parsed("");
  ASSERT_EQ(c.profiles.size(), 1u);
  EXPECT_EQ(c.profiles[0].schedulerName, "default-scheduler");
  EXPECT_EQ(c.profiles[0].plugins.size(), defaultPlugins().size());
  EXPECT_EQ(find(c.profiles[0], "TaintToleration")->weight, 3);
  EXPECT_EQ(find(c.profiles[0], "PodTopologySpread")->weight, 2);
  EXPECT_TRUE(c.profiles[0].preempts);
}

TEST(Config, ProfilesAndTheirPlugins) {
  Config c = parsed(R"(
percentageOfNodesToScore: 30
podInitialBackoffSeconds: 2
podMaxBackoffSeconds: 20
leaderElection: {leaderElect: false, leaseDuration: 30s}
clientConnection: {kubeconfig: /etc/kc}
profiles:
- schedulerName: first
  plugins:
    score:
      disabled: [{name: ImageLocality}]
      enabled: [{name: NodeResourcesFit, weight: 7}]
    postFilter:
      disabled: [{name: "*"}]
- schedulerName: second
  percentageOfNodesToScore: 100
  plugins:
    multiPoint:
      disabled: [{name: "*"}]
      enabled: [{name: NodeName}, {name: NodeResourcesFit, weight: 2}]
)");
  EXPECT_EQ(c.backoff.initial, Duration(std::chrono::seconds(2)));
  EXPECT_EQ(c.backoff.max, Duration(std::chrono::seconds(20)));
  EXPECT_EQ(c.leaderElect, false);
  EXPECT_EQ(c.leaseDuration, Duration(std::chrono::seconds(30)));
  EXPECT_EQ(c.kubeconfig, "/etc/kc");
  ASSERT_EQ(c.profiles.size(), 2u);
  EXPECT_EQ(c.profiles[0].percentageOfNodesToScore, 30);
  EXPECT_FALSE(c.profiles[0].preempts);
  EXPECT_EQ(find(c.profiles[0], "NodeResourcesFit")->weight, 7);
  Profile p = makeProfile(c.profiles[0], {});
  for (const Enabled& e : p.plugins) {
    EXPECT_EQ(e.runsAt(Plugin::kScore),
              (e.plugin->stages() & Plugin::kScore) != 0 && e.plugin->name() != "ImageLocality");
  }
  EXPECT_EQ(c.profiles[1].percentageOfNodesToScore, 100);
  ASSERT_EQ(c.profiles[1].plugins.size(), 2u);
  EXPECT_EQ(find(c.profiles[1], "NodeResourcesFit")->weight, 2);
  EXPECT_FALSE(c.profiles[1].preempts);
}

TEST(Config, Arguments) {
  Config c = parsed(R"(
profiles:
- pluginConfig:
  - name: NodeResourcesFit
    args:
      ignoredResources: [example.com/a]
      scoringStrategy:
        type: RequestedToCapacityRatio
        resources: [{name: cpu, weight: 3}]
        requestedToCapacityRatio: {shape: [{utilization: 0, score: 0}, {utilization: 100, score: 10}]}
  - name: PodTopologySpread
    args:
      defaultingType: List
      defaultConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway}]
  - name: InterPodAffinity
    args: {hardPodAffinityWeight: 5}
  - name: NodeAffinity
    args:
      addedAffinity:
        requiredDuringSchedulingIgnoredDuringExecution:
          nodeSelectorTerms: [{matchExpressions: [{key: a, operator: Exists}]}]
)");
  const PluginArgs& a = c.profiles[0].args;
  EXPECT_EQ(a.strategy, ScoringStrategy::kRequestedToCapacityRatio);
  EXPECT_EQ(a.shape.size(), 2u);
  EXPECT_EQ(a.fitResources[0].weight, 3);
  EXPECT_FALSE(a.systemDefaulting);
  EXPECT_EQ(a.defaultConstraints.size(), 1u);
  EXPECT_EQ(a.hardPodAffinityWeight, 5);
  EXPECT_TRUE(a.addedAffinity);
}

TEST(Config, WhatIsWrongIsNamed) {
  EXPECT_THAT(failure("colour: red"), HasSubstr("unknown field \"colour\""));
  EXPECT_THAT(failure("profiles: [{plugins: {score: {enabled: [{name: Magic}]}}}]"),
              HasSubstr("there is no plugin \"Magic\""));
  EXPECT_THAT(failure("profiles: [{schedulerName: a}, {schedulerName: a}]"),
              HasSubstr("Duplicate value: \"a\""));
  EXPECT_THAT(failure("podInitialBackoffSeconds: 5\npodMaxBackoffSeconds: 1"),
              HasSubstr("podMaxBackoffSeconds"));
  EXPECT_THAT(failure("percentageOfNodesToScore: 101"), HasSubstr("not in valid range [0-100]"));
  EXPECT_THAT(failure("extenders: [{urlPrefix: 'http://x'}]"), HasSubstr("extenders are not supported"));
  auto other = parseConfig("apiVersion: v1\nkind: Pod\n");
  EXPECT_THAT(std::string(other.status().message()),
              HasSubstr("no kind \"Pod\" is registered for version \"v1\""));
}

}  // namespace
}  // namespace km::scheduler
