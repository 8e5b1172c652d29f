// DefaultPreemption: which pods of lower priority would have to go from which node for a pod that finds no
// room. It tries on the cluster itself and leaves it as it was. Not thread-safe: it lives on the scheduler's
// lane.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/types/policy_v1.h"
#include "scheduler/plugin_args.h"
#include "scheduler/search.h"

namespace km::scheduler {

struct Victims {
  NodeId node = kNoNode;
  std::vector<PodPtr> pods;  // the most important first
  int64_t violations = 0;    // of disruption budgets
};

struct Preempted {
  std::optional<Victims> victims;  // absent: see message
  std::string message;
  bool clearNomination = false;  // there is no node on which room could be made
};

class Preemption {
 public:
  Preemption(Cluster& cluster, Search& search, const PluginArgs& args, const Listers& listers)
      : cluster_(cluster),
        search_(search),
        percentage_(args.minCandidateNodesPercentage),
        absolute_(args.minCandidateNodesAbsolute),
        budgets_(listers.budgets) {}

  // After search.run() of this pod came to this diagnosis.
  Preempted run(const Cycle& c, const Diagnosis& d, WallTime now);

 private:
  using Budgets = std::vector<std::shared_ptr<const api::policy_v1::PodDisruptionBudget>>;
  std::string whyNotEligible(const Cycle& c, const Diagnosis& d) const;
  bool selectVictims(const Cycle& c, NodeId node, const Budgets& budgets, Victims& out, uint32_t* why);
  const Victims& pickOne(std::vector<Victims>& candidates) const;
  bool moreImportant(const PodEntry* a, const PodEntry* b) const;
  int64_t startOf(const api::core_v1::Pod& pod) const;

  Cluster& cluster_;
  Search& search_;
  const int percentage_, absolute_;
  client::SharedInformer* const budgets_;
  WallTime now_;
};

}  // namespace km::scheduler
