#include "scheduler/plugins/table.h"

#include <algorithm>

#include "scheduler/plugins/plugins.h"

namespace km::scheduler {
namespace {

struct Row {
  std::string_view name;
  int weight;  // of the default profile; 0: no score
  std::unique_ptr<Plugin> (*make)(const PluginArgs&, const Listers&);
};

// In upstream's order.
const Row kRows[] = {
    {"SchedulingGates", 0, [](const PluginArgs&, const Listers&) { return makeSchedulingGates(); }},
    {"NodeUnschedulable", 0, [](const PluginArgs&, const Listers&) { return makeNodeUnschedulable(); }},
    {"NodeName", 0, [](const PluginArgs&, const Listers&) { return makeNodeName(); }},
    {"TaintToleration", 3, [](const PluginArgs&, const Listers&) { return makeTaintToleration(); }},
    {"NodeAffinity", 2, [](const PluginArgs& a, const Listers&) { return makeNodeAffinity(a); }},
    {"NodePorts", 0, [](const PluginArgs&, const Listers&) { return makeNodePorts(); }},
    {"NodeResourcesFit", 1, [](const PluginArgs& a, const Listers&) { return makeNodeResourcesFit(a); }},
    {"VolumeRestrictions", 0, [](const PluginArgs&, const Listers& l) { return makeVolumeRestrictions(l); }},
    {"NodeVolumeLimits", 0, [](const PluginArgs&, const Listers& l) { return makeNodeVolumeLimits(l); }},
    {"VolumeBinding", 0, [](const PluginArgs& a, const Listers& l) { return makeVolumeBinding(a, l); }},
    {"VolumeZone", 0, [](const PluginArgs&, const Listers& l) { return makeVolumeZone(l); }},
    {"PodTopologySpread", 2,
     [](const PluginArgs& a, const Listers& l) { return makePodTopologySpread(a, l); }},
    {"InterPodAffinity", 2, [](const PluginArgs& a, const Listers&) { return makeInterPodAffinity(a); }},
    {"DynamicResources", 0, [](const PluginArgs&, const Listers& l) { return makeDynamicResources(l); }},
    {"NodeResourcesBalancedAllocation", 1,
     [](const PluginArgs& a, const Listers&) { return makeNodeResourcesBalancedAllocation(a); }},
    {"ImageLocality", 1, [](const PluginArgs&, const Listers&) { return makeImageLocality(); }},
};

}  // namespace

std::vector<PluginChoice> defaultPlugins() {
  std::vector<PluginChoice> out;
  for (const Row& r : kRows) out.push_back({std::string(r.name), r.weight, ~0u});
  return out;
}

bool isPlugin(std::string_view name) {
  return std::any_of(std::begin(kRows), std::end(kRows), [&](const Row& r) { return r.name == name; });
}

std::unique_ptr<Plugin> makePlugin(std::string_view name, const PluginArgs& args, const Listers& listers) {
  for (const Row& r : kRows) {
    if (r.name == name) return r.make(args, listers);
  }
  return nullptr;
}

void defaultNormalize(int64_t* scores, size_t count, bool reverse) {
  int64_t max = count == 0 ? 0 : *std::max_element(scores, scores + count);
  for (size_t i = 0; i < count; i++) {
    if (max == 0) {
      if (reverse) scores[i] = kMaxNodeScore;
      continue;
    }
    scores[i] = scores[i] * kMaxNodeScore / max;
    if (reverse) scores[i] = kMaxNodeScore - scores[i];
  }
}

}  // namespace km::scheduler
