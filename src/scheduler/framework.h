// The scheduling framework: upstream's extension points, over columns of nodes. A plugin overrides those at
// which it has something to say. All but preBind run on the scheduler's lane, one pod at a time, so a
// plugin may keep what it prepared for the pod at hand in its members; filter() must read counts of pods as
// they are, since the cluster is changed to try out things.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/types/core_v1.h"
#include "base/status.h"
#include "scheduler/cluster.h"
#include "scheduler/cluster_event.h"

namespace km::scheduler {

enum class Verdict {
  kSuccess,
  kUnschedulable,                 // other pods stand in the way: their end may help
  kUnschedulableAndUnresolvable,  // removing pods cannot help
  kError,                         // something failed: tried again after a while
};

inline constexpr int64_t kMaxNodeScore = 100;

// The pod that is being scheduled.
struct Cycle {
  Cluster& cluster;
  PodPtr pod;
  PodClass& cls;
};

struct Prepared {
  Verdict verdict = Verdict::kSuccess;  // not kSuccess: no node will do, for `reason`
  bool skip = false;                    // the filter has nothing to say about this pod
  std::string reason;
  std::optional<std::vector<NodeId>> only;  // no other node comes into question

  static Prepared skipped() { return {Verdict::kSuccess, true, {}, {}}; }
  static Prepared refuse(Verdict v, std::string reason) { return {v, false, std::move(reason), {}}; }
};

// A plugin's own number for why it refuses a node, in 24 bits; 0: it does not.
using Refusal = uint32_t;
inline constexpr uint32_t kRefusalBits = 24;

class Plugin {
 public:
  enum Stage : uint32_t { kPreEnqueue = 1, kFilter = 2, kScore = 4, kReserve = 8, kPreBind = 16 };

  virtual ~Plugin() = default;
  virtual std::string_view name() const = 0;
  virtual uint32_t stages() const = 0;

  // May the pod be queued at all? A reason if not.
  virtual std::string preEnqueue(const api::core_v1::Pod& pod) { return ""; }

  // Upstream's PreFilter.
  virtual Prepared prepare(const Cycle& c) { return {}; }
  // refusals[i] is 0 on entry and set if nodes[i] will not do.
  virtual void filter(const Cycle& c, Nodes nodes, Refusal* refusals) {}
  virtual Verdict verdict(Refusal r) const { return Verdict::kUnschedulableAndUnresolvable; }
  // Appends why; valid until the next prepare().
  virtual void explain(const Cycle& c, Refusal r, std::vector<std::string>& reasons) const {}

  // Upstream's PreScore; false: no points of this plugin count.
  virtual bool prepareScore(const Cycle& c, Nodes feasible) { return true; }
  // Points of each node, 0..kMaxNodeScore. scores[i] is 0 on entry.
  virtual void score(const Cycle& c, Nodes nodes, int64_t* scores) {}

  // What must be kept for the pod from now on, and given back when the binding fails.
  virtual Status reserve(const Cycle& c, NodeId node) { return {}; }
  virtual void unreserve(const Cycle& c, NodeId node) {}
  // Work before the binding that needs the API server, after reserve() said yes; only for pods that
  // willPreBind() names. `done` is called once, on any thread.
  virtual bool willPreBind(const Cycle& c, NodeId node) { return false; }
  virtual void preBind(PodPtr pod, std::string node, std::function<void(Status)> done) { done({}); }

  // The pod is bound.
  virtual void finished(const api::core_v1::Pod& pod) {}
  // Ends what preBind() waits for.
  virtual void stop() {}

  // The events (bits of EventKind) that may make a pod schedulable which this plugin refused, and whether
  // this one does.
  virtual uint32_t wakes() const { return kAllEvents; }
  virtual bool helps(const api::core_v1::Pod& waiting, const ClusterEvent& e) { return true; }

  // The plugin's place in PodClass::caches; given by the profile.
  size_t slot = 0;
};

struct Enabled {
  std::unique_ptr<Plugin> plugin;
  int weight = 1;
  uint32_t at = ~0u;  // the stages at which it is enabled
  bool runsAt(uint32_t stage) const { return (plugin->stages() & at & stage) != 0; }
};

// Scores to 0..kMaxNodeScore by the largest; `reverse`: the most points become the fewest.
void defaultNormalize(int64_t* scores, size_t count, bool reverse);

}  // namespace km::scheduler
