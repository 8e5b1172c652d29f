// SchedulingGates, NodeName, NodeUnschedulable, TaintToleration, NodePorts.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "scheduler/plugins/plugins.h"

namespace km::scheduler {

using api::core_v1::Pod;
using api::core_v1::Taint;
using api::core_v1::Toleration;

namespace {

bool numberOf(std::string_view s, int64_t& v) {
  auto r = std::from_chars(s.data(), s.data() + s.size(), v);
  return !s.empty() && r.ec == std::errc() && r.ptr == s.data() + s.size();
}

bool toleratedByAny(const Pod& pod, const Taint& taint) {
  return std::any_of(pod.spec.tolerations.begin(), pod.spec.tolerations.end(), [&](const Toleration& t) { return tolerates(t, taint); });
}

class SchedulingGates : public Plugin {
 public:
  std::string_view name() const override { return "SchedulingGates"; }
  std::string preEnqueue(const Pod& pod) const override {
    if (pod.spec.schedulingGates.empty()) return "";
    std::string gates;
    for (const auto& g : pod.spec.schedulingGates) gates += fmt::format("{}{}", gates.empty() ? "" : " ", g.name);
    return fmt::format("waiting for scheduling gates: [{}]", gates);
  }
  uint32_t wakes() const override { return bit(Change::kPodUpdated); }
};

class NodeName : public Plugin {
 public:
  std::string_view name() const override { return "NodeName"; }
  bool hasFilter() const override { return true; }
  FilterResult filter(const Pod& pod, const NodeInfo& n) const override {
    if (pod.spec.nodeName.empty() || pod.spec.nodeName == n.node->metadata.name) return {};
    return FilterResult::never("node(s) didn't match the requested node name");
  }
  uint32_t wakes() const override { return bit(Change::kNodeAdded); }
};

class NodeUnschedulable : public Plugin {
 public:
  std::string_view name() const override { return "NodeUnschedulable"; }
  bool hasFilter() const override { return true; }
  FilterResult filter(const Pod& pod, const NodeInfo& n) const override {
    if (!n.node->spec.unschedulable) return {};
    Taint taint;
    taint.key = "node.kubernetes.io/unschedulable";
    taint.effect = "NoSchedule";
    if (toleratedByAny(pod, taint)) return {};
    return FilterResult::never("node(s) were unschedulable");
  }
  uint32_t wakes() const override { return bit(Change::kNodeAdded) | bit(Change::kNodeTaints) | bit(Change::kPodUpdated); }
};

class TaintToleration : public Plugin {
 public:
  std::string_view name() const override { return "TaintToleration"; }
  bool hasFilter() const override { return true; }
  bool hasScore() const override { return true; }
  FilterResult filter(const Pod& pod, const NodeInfo& n) const override {
    for (const Taint& t : n.node->spec.taints) {
      if ((t.effect == "NoSchedule" || t.effect == "NoExecute") && !toleratedByAny(pod, t)) {
        return FilterResult::never("node(s) had untolerated taint(s)");
      }
    }
    return {};
  }
  // Soft taints that the pod does not tolerate count against the node.
  int64_t score(const Pod& pod, const NodeInfo& n, const Cluster&) const override {
    int64_t bad = 0;
    for (const Taint& t : n.node->spec.taints) {
      if (t.effect != "PreferNoSchedule") continue;
      bool ok = std::any_of(pod.spec.tolerations.begin(), pod.spec.tolerations.end(), [&](const Toleration& tol) {
        return (tol.effect.empty() || tol.effect == "PreferNoSchedule") && tolerates(tol, t);
      });
      if (!ok) bad++;
    }
    return bad;
  }
  void normalize(std::vector<int64_t>& scores) const override { defaultNormalize(scores, true); }
  uint32_t wakes() const override { return bit(Change::kNodeAdded) | bit(Change::kNodeTaints) | bit(Change::kPodUpdated); }
};

class NodePorts : public Plugin {
 public:
  std::string_view name() const override { return "NodePorts"; }
  bool hasFilter() const override { return true; }
  FilterResult filter(const Pod& pod, const NodeInfo& n) const override {
    for (const HostPort& p : hostPorts(pod)) {
      if (n.conflicts(p)) return FilterResult::no("node(s) didn't have free ports for the requested pod ports");
    }
    return {};
  }
  uint32_t wakes() const override { return bit(Change::kNodeAdded) | bit(Change::kPodRemoved); }
};

}  // namespace

bool tolerates(const Toleration& t, const Taint& taint) {
  if (!t.effect.empty() && t.effect != taint.effect) return false;
  if (!t.key.empty() && t.key != taint.key) return false;
  if (t.operator_ == "Exists") return true;
  if (t.operator_ == "Lt" || t.operator_ == "Gt") {
    int64_t want, have;
    if (!numberOf(t.value, want) || !numberOf(taint.value, have)) return false;
    return t.operator_ == "Lt" ? have < want : have > want;
  }
  return t.value == taint.value && !t.key.empty();
}

std::unique_ptr<Plugin> makeSchedulingGates() { return std::make_unique<SchedulingGates>(); }
std::unique_ptr<Plugin> makeNodeName() { return std::make_unique<NodeName>(); }
std::unique_ptr<Plugin> makeNodeUnschedulable() { return std::make_unique<NodeUnschedulable>(); }
std::unique_ptr<Plugin> makeTaintToleration() { return std::make_unique<TaintToleration>(); }
std::unique_ptr<Plugin> makeNodePorts() { return std::make_unique<NodePorts>(); }

}  // namespace km::scheduler
