// The scheduling framework: upstream's extension points. A plugin overrides those it has something to say at; all of them but
// Reserve, PreBind and Bind are pure and run under the scheduler's lock.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "api/types/core_v1.h"
#include "base/status.h"
#include "scheduler/cluster.h"

namespace km::scheduler {

enum class Verdict {
  kSuccess,
  kUnschedulable,                // other pods stand in the way: their end may help
  kUnschedulableAndUnresolvable, // removing pods cannot help
};

struct FilterResult {
  Verdict verdict = Verdict::kSuccess;
  std::vector<std::string> reasons;  // counted over nodes in the pod's event

  static FilterResult no(std::string reason) { return {Verdict::kUnschedulable, {std::move(reason)}}; }
  static FilterResult never(std::string reason) { return {Verdict::kUnschedulableAndUnresolvable, {std::move(reason)}}; }
  bool ok() const { return verdict == Verdict::kSuccess; }
};

inline constexpr int64_t kMaxNodeScore = 100;

// What changed in the cluster, for the question whether a waiting pod should be tried again.
enum class Change : uint32_t {
  kNodeAdded = 1,
  kNodeAllocatable = 2,
  kNodeLabels = 4,
  kNodeTaints = 8,
  kPodRemoved = 16,   // an assigned pod went
  kPodUpdated = 32,   // the waiting pod itself
  kPodAdded = 64,     // an assigned pod came
};
constexpr uint32_t bit(Change c) { return static_cast<uint32_t>(c); }

class Plugin {
 public:
  virtual ~Plugin() = default;
  virtual std::string_view name() const = 0;

  // May the pod be queued at all? A reason if not.
  virtual std::string preEnqueue(const api::core_v1::Pod& pod) const { return ""; }
  virtual FilterResult filter(const api::core_v1::Pod& pod, const NodeInfo& node) const { return {}; }
  virtual bool hasFilter() const { return false; }
  // Points of one node; normalize() brings those of all nodes to 0..kMaxNodeScore.
  virtual int64_t score(const api::core_v1::Pod& pod, const NodeInfo& node, const Cluster& cluster) const { return 0; }
  virtual void normalize(std::vector<int64_t>& scores) const {}
  virtual bool hasScore() const { return false; }
  // False: the plugin says nothing about this pod, and its score is left out.
  virtual bool scores(const api::core_v1::Pod& pod) const { return true; }
  // The changes that may make a pod schedulable which this plugin refused (a bit set of Change).
  virtual uint32_t wakes() const { return ~0u; }
};

struct Enabled {
  std::unique_ptr<Plugin> plugin;
  int weight = 1;
};

// The plugins of the default profile, in upstream's order, as far as they are built.
std::vector<Enabled> defaultPlugins();

// Scores to 0..kMaxNodeScore by the largest; `reverse`: the most points become the fewest.
void defaultNormalize(std::vector<int64_t>& scores, bool reverse);

}  // namespace km::scheduler
