// What a plugin may be told by configuration, with upstream's defaults, and what it may look up.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "api/types/core_v1.h"
#include "client/informer.h"
#include "client/timers.h"

namespace km::scheduler {

struct ResourceWeight {
  std::string name;
  int64_t weight = 1;
};

enum class ScoringStrategy { kLeastAllocated, kMostAllocated, kRequestedToCapacityRatio };

struct PluginArgs {
  // NodeResourcesFit
  ScoringStrategy strategy = ScoringStrategy::kLeastAllocated;
  std::vector<ResourceWeight> fitResources{{"cpu", 1}, {"memory", 1}};
  std::vector<std::pair<int64_t, int64_t>> shape;  // utilization, score (0..10) of RequestedToCapacityRatio
  std::vector<std::string> ignoredResources, ignoredResourceGroups;
  // NodeResourcesBalancedAllocation
  std::vector<ResourceWeight> balancedResources{{"cpu", 1}, {"memory", 1}};
  // InterPodAffinity
  int32_t hardPodAffinityWeight = 1;
  bool ignorePreferredTermsOfExistingPods = false;
  // PodTopologySpread
  bool systemDefaulting = true;
  codec::List<api::core_v1::TopologySpreadConstraint> defaultConstraints;
  // NodeAffinity
  codec::Box<api::core_v1::NodeAffinity> addedAffinity;
  // DefaultPreemption
  int32_t minCandidateNodesPercentage = 10, minCandidateNodesAbsolute = 100;
  // VolumeBinding
  int64_t bindTimeoutSeconds = 600;
};

// The API server, and informers that plugins read. Null where there is no such informer (tests): as if there
// were no such objects.
struct Listers {
  client::Client* client = nullptr;
  client::Timers* timers = nullptr;
  client::SharedInformer* services = nullptr;
  client::SharedInformer* replicationControllers = nullptr;
  client::SharedInformer* replicaSets = nullptr;
  client::SharedInformer* statefulSets = nullptr;
  client::SharedInformer* budgets = nullptr;
  client::SharedInformer* volumes = nullptr;
  client::SharedInformer* claims = nullptr;
  client::SharedInformer* storageClasses = nullptr;
  client::SharedInformer* csiNodes = nullptr;
  client::SharedInformer* csiDrivers = nullptr;
  client::SharedInformer* capacities = nullptr;
  client::SharedInformer* deviceClaims = nullptr;
};

}  // namespace km::scheduler
