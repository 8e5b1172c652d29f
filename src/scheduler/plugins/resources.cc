// NodeResourcesFit, NodeResourcesBalancedAllocation, ImageLocality.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "scheduler/plugins/plugins.h"

namespace km::scheduler {
namespace {

using api::core_v1::Pod;

class NodeResourcesFit : public Plugin {
 public:
  std::string_view name() const override { return "NodeResourcesFit"; }
  bool hasFilter() const override { return true; }
  bool hasScore() const override { return true; }

  FilterResult filter(const Pod& pod, const NodeInfo& n) const override {
    Amounts want = podRequests(pod);
    FilterResult out;
    // What exceeds the whole node cannot be helped by removing pods.
    bool never = false;
    auto check = [&](std::string reason, int64_t wanted, int64_t used, int64_t capacity) {
      if (wanted == 0 || wanted <= capacity - used) return;
      out.reasons.push_back(std::move(reason));
      never = never || wanted > capacity;
    };
    if (static_cast<int64_t>(n.pods.size()) + 1 > n.allocatable.pods) out.reasons.emplace_back("Too many pods");
    check("Insufficient cpu", want.milliCpu, n.requested.milliCpu, n.allocatable.milliCpu);
    check("Insufficient memory", want.memory, n.requested.memory, n.allocatable.memory);
    check("Insufficient ephemeral-storage", want.ephemeralStorage, n.requested.ephemeralStorage, n.allocatable.ephemeralStorage);
    for (const auto& [name, v] : want.others) {
      auto get = [&](const Amounts& a) {
        auto it = a.others.find(name);
        return it == a.others.end() ? 0 : it->second;
      };
      check(fmt::format("Insufficient {}", name), v, get(n.requested), get(n.allocatable));
    }
    if (!out.reasons.empty()) out.verdict = never ? Verdict::kUnschedulableAndUnresolvable : Verdict::kUnschedulable;
    return out;
  }

  // LeastAllocated over cpu and memory: the more is left, the better.
  int64_t score(const Pod& pod, const NodeInfo& n, const Cluster&) const override {
    Amounts want = podRequests(pod, true);
    auto left = [](int64_t requested, int64_t capacity) {
      if (capacity == 0 || requested > capacity) return int64_t{0};
      return (capacity - requested) * kMaxNodeScore / capacity;
    };
    int64_t sum = 0, weights = 0;
    if (n.allocatable.milliCpu > 0) {
      sum += left(n.requestedNonZero.milliCpu + want.milliCpu, n.allocatable.milliCpu);
      weights++;
    }
    if (n.allocatable.memory > 0) {
      sum += left(n.requestedNonZero.memory + want.memory, n.allocatable.memory);
      weights++;
    }
    return weights == 0 ? 0 : sum / weights;
  }
  uint32_t wakes() const override {
    return bit(Change::kNodeAdded) | bit(Change::kNodeAllocatable) | bit(Change::kPodRemoved) | bit(Change::kPodUpdated);
  }
};

// Prefers nodes on which cpu and memory would be used to the same degree.
class NodeResourcesBalancedAllocation : public Plugin {
 public:
  std::string_view name() const override { return "NodeResourcesBalancedAllocation"; }
  bool hasScore() const override { return true; }
  bool scores(const Pod& pod) const override {
    Amounts a = podRequests(pod);
    return a.milliCpu > 0 || a.memory > 0;  // a best-effort pod changes no balance
  }
  int64_t score(const Pod& pod, const NodeInfo& n, const Cluster&) const override {
    Amounts want = podRequests(pod);
    auto balance = [&](int64_t cpu, int64_t memory) {
      if (n.allocatable.milliCpu == 0 || n.allocatable.memory == 0) return 1.0;
      double c = std::min(1.0, static_cast<double>(cpu) / static_cast<double>(n.allocatable.milliCpu));
      double m = std::min(1.0, static_cast<double>(memory) / static_cast<double>(n.allocatable.memory));
      return 1.0 - std::fabs((c - m) / 2);
    };
    double with = balance(n.requested.milliCpu + want.milliCpu, n.requested.memory + want.memory);
    double without = balance(n.requested.milliCpu, n.requested.memory);
    // Half of the points for the balance reached, half for how far the pod improves it.
    return static_cast<int64_t>(((with - without) / 2 + 0.5 + with) / 2 * kMaxNodeScore);
  }
};

class ImageLocality : public Plugin {
 public:
  std::string_view name() const override { return "ImageLocality"; }
  bool hasScore() const override { return true; }
  int64_t score(const Pod& pod, const NodeInfo& n, const Cluster& cluster) const override {
    constexpr int64_t kMb = 1024 * 1024, kMin = 23 * kMb, kMaxPerContainer = 1000 * kMb;
    int64_t sum = 0;
    auto visit = [&](const auto& containers) {
      for (const auto& c : containers) {
        std::string image = normalized(c.image);
        auto it = n.images.find(image);
        if (it == n.images.end()) continue;
        // An image that few nodes have says less: many pods of one kind would crowd there.
        double spread = static_cast<double>(cluster.nodesWithImage(image)) / static_cast<double>(std::max<size_t>(1, cluster.nodes().size()));
        sum += static_cast<int64_t>(static_cast<double>(it->second) * spread);
      }
    };
    visit(pod.spec.initContainers);
    visit(pod.spec.containers);
    int64_t max = kMaxPerContainer * static_cast<int64_t>(std::max<size_t>(1, pod.spec.containers.size() + pod.spec.initContainers.size()));
    sum = std::clamp(sum, kMin, max);
    return kMaxNodeScore * (sum - kMin) / (max - kMin);
  }

 private:
  static std::string normalized(std::string_view image) {
    std::string out(image);
    size_t slash = out.rfind('/');
    if (out.find(':', slash == std::string::npos ? 0 : slash) == std::string::npos && out.find('@') == std::string::npos) out += ":latest";
    return out;
  }
};

}  // namespace

std::unique_ptr<Plugin> makeNodeResourcesFit() { return std::make_unique<NodeResourcesFit>(); }
std::unique_ptr<Plugin> makeNodeResourcesBalancedAllocation() { return std::make_unique<NodeResourcesBalancedAllocation>(); }
std::unique_ptr<Plugin> makeImageLocality() { return std::make_unique<ImageLocality>(); }

}  // namespace km::scheduler
