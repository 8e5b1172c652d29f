// NodeResourcesFit and NodeResourcesBalancedAllocation.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "scheduler/plugins/plugins.h"

namespace km::scheduler {
namespace {

using api::core_v1::Node;
using api::core_v1::Pod;

// Extended resources are those of a domain that is not Kubernetes' own.
bool isExtended(std::string_view name) {
  size_t slash = name.find('/');
  if (slash == std::string_view::npos || name.starts_with("requests.")) return false;
  std::string_view domain = name.substr(0, slash);
  return !(domain == "kubernetes.io" || domain.ends_with(".kubernetes.io"));
}

int64_t of(const Amounts& a, std::string_view name) {
  if (name == "cpu") return a.milliCpu;
  if (name == "memory") return a.memory;
  if (name == "ephemeral-storage") return a.ephemeralStorage;
  auto it = a.others.find(name);
  return it == a.others.end() ? 0 : it->second;
}

// What a score reads of one resource.
struct ScoredColumn {
  const std::vector<int64_t>* allocatable;
  const std::vector<int64_t>* used;
  int64_t wanted;
  int64_t weight;
};

// `nonZero`: containers that ask for nothing count by default amounts.
std::vector<ScoredColumn> columnsOf(const Cycle& c, const std::vector<ResourceWeight>& resources,
                                    bool nonZero) {
  NodeTable& t = c.cluster.nodes();
  const Amounts& want = nonZero ? c.cls.nonZero : c.cls.requests;
  std::vector<ScoredColumn> out;
  for (const auto& r : resources) {
    int64_t wanted = of(want, r.name);
    if (r.name == "cpu") {
      out.push_back({&t.cpu, nonZero ? &t.usedCpuNonZero : &t.usedCpu, wanted, r.weight});
    } else if (r.name == "memory") {
      out.push_back({&t.memory, nonZero ? &t.usedMemoryNonZero : &t.usedMemory, wanted, r.weight});
    } else if (r.name == "ephemeral-storage") {
      out.push_back({&t.storage, &t.usedStorage, wanted, r.weight});
    } else if (wanted != 0) {  // a scalar that the pod does not want says nothing
      ResourceColumn& column = t.resource(r.name);
      out.push_back({&column.allocatable, &column.requested, wanted, r.weight});
    }
  }
  return out;
}

class NodeResourcesFit : public Plugin {
 public:
  explicit NodeResourcesFit(const PluginArgs& args)
      : strategy_(args.strategy),
        resources_(args.fitResources),
        shape_(args.shape),
        ignored_(args.ignoredResources),
        ignoredGroups_(args.ignoredResourceGroups) {}

  std::string_view name() const override { return "NodeResourcesFit"; }
  uint32_t stages() const override { return kFilter | kScore; }

  void filter(const Cycle& c, Nodes nodes, Refusal* refusals) override {
    const NodeTable& t = c.cluster.nodes();
    const Amounts& w = c.cls.requests;
    for (size_t i = 0; i < nodes.size(); i++) {
      NodeId n = nodes[i];
      Refusal r = 0;
      auto check = [&](int64_t wanted, int64_t used, int64_t capacity, uint32_t bit) {
        if (wanted > 0 && wanted > capacity - used) r |= bit | (wanted > capacity ? kNever : 0);
      };
      if (t.podCount[n] + 1 > t.podLimit[n]) r |= kPods;
      check(w.milliCpu, t.usedCpu[n], t.cpu[n], kCpu);
      check(w.memory, t.usedMemory[n], t.memory[n], kMemory);
      check(w.ephemeralStorage, t.usedStorage[n], t.storage[n], kStorage);
      refusals[i] = r;
    }
    uint32_t bit = kFirstOther;
    size_t k = 0;
    for (const auto& [name, wanted] : w.others) {
      const ResourceColumn& column = *c.cls.others[k++].first;
      if (wanted != 0 && !ignores(name)) {
        for (size_t i = 0; i < nodes.size(); i++) {
          int64_t capacity = column.allocatable[nodes[i]];
          if (wanted > capacity - column.requested[nodes[i]])
            refusals[i] |= bit | (wanted > capacity ? kNever : 0);
        }
      }
      if (bit < kLastOther) bit <<= 1;
    }
  }
  Verdict verdict(Refusal r) const override {
    return (r & kNever) != 0 ? Verdict::kUnschedulableAndUnresolvable : Verdict::kUnschedulable;
  }
  void explain(const Cycle& c, Refusal r, std::vector<std::string>& reasons) const override {
    if ((r & kPods) != 0) reasons.emplace_back("Too many pods");
    if ((r & kCpu) != 0) reasons.emplace_back("Insufficient cpu");
    if ((r & kMemory) != 0) reasons.emplace_back("Insufficient memory");
    if ((r & kStorage) != 0) reasons.emplace_back("Insufficient ephemeral-storage");
    uint32_t bit = kFirstOther;
    for (const auto& [name, wanted] : c.cls.requests.others) {
      if ((r & bit) != 0) reasons.push_back(fmt::format("Insufficient {}", name));
      if (bit < kLastOther) bit <<= 1;
    }
  }

  void score(const Cycle& c, Nodes nodes, int64_t* scores) override {
    auto columns = columnsOf(c, resources_, true);
    for (size_t i = 0; i < nodes.size(); i++) {
      int64_t sum = 0, weights = 0;
      for (const ScoredColumn& r : columns) {
        int64_t capacity = (*r.allocatable)[nodes[i]];
        if (capacity == 0) continue;
        int64_t points = pointsOf((*r.used)[nodes[i]] + r.wanted, capacity);
        if (strategy_ == ScoringStrategy::kRequestedToCapacityRatio && points <= 0) continue;
        sum += points * r.weight;
        weights += r.weight;
      }
      if (weights == 0) continue;
      scores[i] =
          strategy_ == ScoringStrategy::kRequestedToCapacityRatio
              ? static_cast<int64_t>(std::lround(static_cast<double>(sum) / static_cast<double>(weights)))
              : sum / weights;
    }
  }

  uint32_t wakes() const override {
    return kNodeAdd | kNodeAllocatable | kAssignedPodDelete | kAssignedPodScaleDown | kSelfScaleDown;
  }
  bool helps(const Pod& waiting, const ClusterEvent& e) override {
    if ((e.kinds & (kNodeAdd | kNodeAllocatable)) != 0) return nodeHelps(waiting, e);
    if ((e.kinds & kAssignedPodScaleDown) != 0 && e.before && e.after) {
      Amounts want = podRequests(waiting), was = podRequests(e.before->as<Pod>()),
              is = podRequests(e.after->as<Pod>());
      if (want.milliCpu > 0 && was.milliCpu > is.milliCpu) return true;
      return want.memory > 0 && was.memory > is.memory;
    }
    return true;
  }

 private:
  static constexpr Refusal kPods = 1, kCpu = 2, kMemory = 4, kStorage = 8, kFirstOther = 16,
                           kLastOther = 1u << 22, kNever = 1u << 23;

  bool ignores(std::string_view name) const {
    if ((ignored_.empty() && ignoredGroups_.empty()) || !isExtended(name)) return false;
    std::string_view group = name.substr(0, name.find('/'));
    return std::find(ignored_.begin(), ignored_.end(), name) != ignored_.end() ||
           std::find(ignoredGroups_.begin(), ignoredGroups_.end(), group) != ignoredGroups_.end();
  }

  int64_t pointsOf(int64_t requested, int64_t capacity) const {
    switch (strategy_) {
      case ScoringStrategy::kLeastAllocated:
        return requested > capacity ? 0 : (capacity - requested) * kMaxNodeScore / capacity;
      case ScoringStrategy::kMostAllocated:
        // Pods without requests may add up to more than there is.
        return std::min(requested, capacity) * kMaxNodeScore / capacity;
      case ScoringStrategy::kRequestedToCapacityRatio:
        break;
    }
    int64_t utilization = requested > capacity ? 100 : requested * 100 / capacity;
    for (size_t i = 0; i < shape_.size(); i++) {
      auto [at, points] = shape_[i];
      if (utilization > at) continue;
      if (i == 0) return points * 10;
      auto [before, pointsBefore] = shape_[i - 1];
      return pointsBefore * 10 + (points - pointsBefore) * 10 * (utilization - before) / (at - before);
    }
    return shape_.empty() ? 0 : shape_.back().second * 10;
  }

  static bool nodeHelps(const Pod& waiting, const ClusterEvent& e) {
    if (!e.after) return false;
    Amounts want = podRequests(waiting), now = amountsOf(e.after->as<Node>().status.allocatable);
    bool fits = now.pods >= 1 && want.milliCpu <= now.milliCpu && want.memory <= now.memory &&
                want.ephemeralStorage <= now.ephemeralStorage;
    for (const auto& [name, v] : want.others) fits = fits && v <= of(now, name);
    if (!fits || !e.before) return fits;
    Amounts was = amountsOf(e.before->as<Node>().status.allocatable);
    if (now.pods > was.pods) return true;
    if (want.milliCpu > 0 && now.milliCpu > was.milliCpu) return true;
    if (want.memory > 0 && now.memory > was.memory) return true;
    if (want.ephemeralStorage > 0 && now.ephemeralStorage > was.ephemeralStorage) return true;
    return std::any_of(want.others.begin(), want.others.end(),
                       [&](const auto& o) { return o.second > 0 && of(now, o.first) > of(was, o.first); });
  }

  const ScoringStrategy strategy_;
  const std::vector<ResourceWeight> resources_;
  const std::vector<std::pair<int64_t, int64_t>> shape_;
  const std::vector<std::string> ignored_, ignoredGroups_;
};

// Prefers nodes on which cpu and memory would be used to the same degree.
class NodeResourcesBalancedAllocation : public Plugin {
 public:
  explicit NodeResourcesBalancedAllocation(const PluginArgs& args) : resources_(args.balancedResources) {}

  std::string_view name() const override { return "NodeResourcesBalancedAllocation"; }
  uint32_t stages() const override { return kScore; }
  bool prepareScore(const Cycle& c, Nodes) override {
    // A best-effort pod changes no balance.
    return std::any_of(resources_.begin(), resources_.end(),
                       [&](const auto& r) { return of(c.cls.requests, r.name) != 0; });
  }
  void score(const Cycle& c, Nodes nodes, int64_t* scores) override {
    auto columns = columnsOf(c, resources_, false);
    for (size_t i = 0; i < nodes.size(); i++) {
      int64_t with = balance(columns, nodes[i], true), without = balance(columns, nodes[i], false);
      scores[i] = kMaxNodeScore / 2 + (kMaxNodeScore / 2 + with - without) / 2;
    }
  }

 private:
  static int64_t balance(const std::vector<ScoredColumn>& columns, NodeId n, bool withPod) {
    double fractions[16], sum = 0;
    size_t count = 0;
    for (const ScoredColumn& c : columns) {
      int64_t capacity = (*c.allocatable)[n];
      if (capacity == 0 || count == std::size(fractions)) continue;
      int64_t used = (*c.used)[n] + (withPod ? c.wanted : 0);
      double f = std::min(1.0, static_cast<double>(used) / static_cast<double>(capacity));
      sum += f;
      fractions[count++] = f;
    }
    double deviation = 0;
    if (count == 2) {
      deviation = std::fabs((fractions[0] - fractions[1]) / 2);
    } else if (count > 2) {
      double mean = sum / static_cast<double>(count), squares = 0;
      for (size_t i = 0; i < count; i++) squares += (fractions[i] - mean) * (fractions[i] - mean);
      deviation = std::sqrt(squares / static_cast<double>(count));
    }
    return static_cast<int64_t>((1 - deviation) * static_cast<double>(kMaxNodeScore));
  }

  const std::vector<ResourceWeight> resources_;
};

}  // namespace

std::unique_ptr<Plugin> makeNodeResourcesFit(const PluginArgs& args) {
  return std::make_unique<NodeResourcesFit>(args);
}
std::unique_ptr<Plugin> makeNodeResourcesBalancedAllocation(const PluginArgs& args) {
  return std::make_unique<NodeResourcesBalancedAllocation>(args);
}

}  // namespace km::scheduler
