// ImageLocality: prefers nodes that have the pod's images already.
#include <algorithm>

#include "scheduler/plugins/plugins.h"

namespace km::scheduler {
namespace {

class ImageLocality : public Plugin {
 public:
  std::string_view name() const override { return "ImageLocality"; }
  uint32_t stages() const override { return kScore; }

  bool prepareScore(const Cycle& c, Nodes) override {
    const NodeTable& t = c.cluster.nodes();
    const auto& spec = c.pod->spec;
    images_.clear();
    bool any = false;
    auto add = [&](std::string_view image) {
      images_.push_back({normalizedImage(image), 0});
      images_.back().second = t.nodesWithImage(images_.back().first);
      any = any || images_.back().second > 0;
    };
    for (const auto& i : spec.initContainers) add(i.image);
    for (const auto& i : spec.containers) add(i.image);
    for (const auto& v : spec.volumes) {
      if (v.image) add(v.image->reference);
    }
    containers_ = static_cast<int64_t>(spec.initContainers.size() + spec.containers.size());
    return any;  // where no node has any, all have the same points
  }

  void score(const Cycle& c, Nodes nodes, int64_t* scores) override {
    constexpr int64_t kMb = 1024 * 1024, kMin = 23 * kMb, kMaxPerContainer = 1000 * kMb;
    const NodeTable& t = c.cluster.nodes();
    for (size_t i = 0; i < nodes.size(); i++) {
      const auto& there = t.row(nodes[i]).images;
      int64_t sum = 0;
      for (const auto& [image, count] : images_) {
        auto it = there.find(image);
        if (it == there.end()) continue;
        // An image that few nodes have says less: many pods of one kind would crowd there.
        double spread = static_cast<double>(count) / static_cast<double>(t.count());
        sum += static_cast<int64_t>(static_cast<double>(it->second) * spread);
      }
      int64_t max = kMaxPerContainer * std::max<int64_t>(containers_, 1);
      scores[i] = kMaxNodeScore * (std::clamp(sum, kMin, max) - kMin) / (max - kMin);
    }
  }

 private:
  std::vector<std::pair<std::string, int>> images_;  // and on how many nodes they are
  int64_t containers_ = 0;
};

}  // namespace

std::string normalizedImage(std::string_view image) {
  std::string out(image);
  size_t colon = out.rfind(':'), slash = out.rfind('/');
  bool tagged = colon != std::string::npos && (slash == std::string::npos || colon > slash);
  if (!tagged) out += ":latest";
  return out;
}

std::unique_ptr<Plugin> makeImageLocality() {
  return std::make_unique<ImageLocality>();
}

}  // namespace km::scheduler
