// The built plugins; each file of this folder makes one or a few.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "scheduler/framework.h"
#include "scheduler/plugin_args.h"

namespace km::scheduler {

std::unique_ptr<Plugin> makeSchedulingGates();
std::unique_ptr<Plugin> makeNodeUnschedulable();
std::unique_ptr<Plugin> makeNodeName();
std::unique_ptr<Plugin> makeTaintToleration();
std::unique_ptr<Plugin> makeNodeAffinity(const PluginArgs& args);
std::unique_ptr<Plugin> makeNodePorts();
std::unique_ptr<Plugin> makeNodeResourcesFit(const PluginArgs& args);
std::unique_ptr<Plugin> makeNodeResourcesBalancedAllocation(const PluginArgs& args);
std::unique_ptr<Plugin> makeImageLocality();
std::unique_ptr<Plugin> makePodTopologySpread(const PluginArgs& args, const Listers& listers);
std::unique_ptr<Plugin> makeInterPodAffinity(const PluginArgs& args);
std::unique_ptr<Plugin> makeVolumeRestrictions(const Listers& listers);
std::unique_ptr<Plugin> makeNodeVolumeLimits(const Listers& listers);
std::unique_ptr<Plugin> makeVolumeBinding(const PluginArgs& args, const Listers& listers);
std::unique_ptr<Plugin> makeDynamicResources(const Listers& listers);
std::unique_ptr<Plugin> makeVolumeZone(const Listers& listers);

// Whether a toleration covers a taint; whether any of the pod's does.
bool tolerates(const api::core_v1::Toleration& t, const api::core_v1::Taint& taint);
bool toleratedByAny(const api::core_v1::Pod& pod, const api::core_v1::Taint& taint);
// Whether the pod tolerates every taint of the list that keeps pods away (NoSchedule, NoExecute).
bool toleratesAll(const api::core_v1::Pod& pod, const codec::List<api::core_v1::Taint>& taints);

// nodeSelector and required node affinity.
bool acceptsNode(const api::core_v1::Pod& pod, const api::core_v1::Node& node);
bool matchesTerm(const api::core_v1::NodeSelectorTerm& term, const api::core_v1::Node& node);
bool matchesSelector(const api::core_v1::NodeSelector& selector, const api::core_v1::Node& node);

// "nginx" -> "nginx:latest"
std::string normalizedImage(std::string_view image);

}  // namespace km::scheduler
