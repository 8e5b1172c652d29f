#include "scheduler/framework.h"
#include "scheduler/plugins/plugins.h"

#include <algorithm>

namespace km::scheduler {

std::vector<Enabled> defaultPlugins() {
  std::vector<Enabled> out;
  auto add = [&](std::unique_ptr<Plugin> p, int weight = 1) { out.push_back({std::move(p), weight}); };
  add(makeSchedulingGates());
  add(makeNodeUnschedulable());
  add(makeNodeName());
  add(makeTaintToleration(), 3);
  add(makeNodeAffinity(), 2);
  add(makeNodePorts());
  add(makeNodeResourcesFit());
  add(makeNodeResourcesBalancedAllocation());
  add(makeImageLocality());
  return out;
}

void defaultNormalize(std::vector<int64_t>& scores, bool reverse) {
  int64_t max = scores.empty() ? 0 : *std::max_element(scores.begin(), scores.end());
  for (int64_t& s : scores) {
    if (max == 0) {
      s = reverse ? kMaxNodeScore : s;
      continue;
    }
    s = s * kMaxNodeScore / max;
    if (reverse) s = kMaxNodeScore - s;
  }
}

}  // namespace km::scheduler
