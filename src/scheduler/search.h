// Search: finds the node for one pod. Filters run over blocks of nodes, one plugin after the other over those
// that are left; scores only over what survived. Not thread-safe: it lives on the scheduler's lane.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "scheduler/framework.h"
#include "scheduler/nominator.h"

namespace km::scheduler {

// One of the schedulers that a process is: its name and its plugins.
struct Profile {
  std::string schedulerName = "default-scheduler";
  std::vector<Enabled> plugins;      // in the order of their calls; at most 64
  int percentageOfNodesToScore = 0;  // 0: by the number of nodes
  bool preempts = true;              // DefaultPreemption
};

struct Refused {
  NodeId node;
  uint32_t why;  // plugin << kRefusalBits | its Refusal
};

// Why no node will do.
struct Diagnosis {
  std::vector<Refused> refused;
  std::string preFilter;  // every node, for this reason
  Verdict preFilterVerdict = Verdict::kSuccess;
  uint64_t rejectors = 0;  // bits of plugins
  std::string only;        // the plugins that left but few nodes, as printed
};

struct Found {
  NodeId node = kNoNode;  // kNoNode: see the diagnosis, or error
  size_t evaluated = 0, feasible = 0;
  std::string error;  // a plugin could not answer
  Diagnosis diagnosis;
};

class Search {
 public:
  Search(Cluster& cluster, const Nominator& nominator, Profile& profile);

  Found run(const Cycle& c);

  // After run() of the same pod: would it fit on this node, as things stand and with the nominated pods
  // there? If not, `why` is what a Refused says.
  bool fits(const Cycle& c, NodeId node, uint32_t* why);
  Verdict verdictOf(uint32_t why) const;
  // Counts per reason of nodes: "3 Insufficient cpu, 2 node(s) had untolerated taint(s)".
  // `extra`: reasons that no plugin has, and of how many nodes.
  using Extra = std::vector<std::pair<std::string, size_t>>;
  std::string reasons(const Cycle& c, const std::vector<Refused>& refused, const Extra& extra) const;
  // Nodes whose refusal other pods' end may change.
  std::vector<NodeId> resolvable(const Diagnosis& d) const;
  const Profile& profile() const { return profile_; }
  // For candidates of equal worth: uniformly 0..n-1.
  size_t random(size_t n);

 private:
  bool prepare(const Cycle& c, Found& out, std::optional<std::vector<NodeId>>& only);
  void filterAll(const Cycle& c, const std::vector<NodeId>& list, size_t limit, Found& out);
  void filterBlock(const Cycle& c, const std::vector<NodeId>& block, size_t limit, Found& out, size_t* taken);
  bool passes(const Cycle& c, NodeId node, uint32_t* why);
  void findNominated(const Cycle& c);
  size_t limitOf(size_t nodes) const;
  void select(const Cycle& c, Found& out);

  Cluster& cluster_;
  const Nominator& nominator_;
  Profile& profile_;
  std::vector<uint32_t> filters_;  // of the pod at hand
  std::vector<NodeId> feasible_;
  std::vector<NodeId> withNominated_;  // nodes where pods of no lower priority are expected
  size_t nextStart_ = 0;  // where the search over nodes begins, so that all are looked at in turn
  uint64_t randomState_;
  // Scratch, kept for its memory.
  std::vector<NodeId> left_;
  std::vector<uint32_t> position_;
  std::vector<Refusal> refusals_;
  std::vector<int64_t> scores_, total_;
};

}  // namespace km::scheduler
