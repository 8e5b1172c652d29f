// SchedulingGates, NodeName, NodeUnschedulable, TaintToleration, NodePorts.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "scheduler/plugins/plugins.h"

namespace km::scheduler {

using api::core_v1::Node;
using api::core_v1::Pod;
using api::core_v1::Taint;
using api::core_v1::Toleration;

namespace {

bool numberOf(std::string_view s, int64_t& v) {
  auto r = std::from_chars(s.data(), s.data() + s.size(), v);
  return !s.empty() && r.ec == std::errc() && r.ptr == s.data() + s.size();
}

bool keepsAway(const Taint& t) {
  return t.effect == "NoSchedule" || t.effect == "NoExecute";
}

class SchedulingGates : public Plugin {
 public:
  std::string_view name() const override { return "SchedulingGates"; }
  uint32_t stages() const override { return kPreEnqueue; }
  std::string preEnqueue(const Pod& pod) override {
    if (pod.spec.schedulingGates.empty()) return "";
    std::string gates;
    for (const auto& g : pod.spec.schedulingGates)
      gates += fmt::format("{}{}", gates.empty() ? "" : " ", g.name);
    return fmt::format("waiting for scheduling gates: [{}]", gates);
  }
  uint32_t wakes() const override { return kSelfGates; }
};

class NodeName : public Plugin {
 public:
  std::string_view name() const override { return "NodeName"; }
  uint32_t stages() const override { return kFilter; }
  Prepared prepare(const Cycle& c) override {
    return c.pod->spec.nodeName.empty() ? Prepared::skipped() : Prepared();
  }
  void filter(const Cycle& c, Nodes nodes, Refusal* refusals) override {
    for (size_t i = 0; i < nodes.size(); i++)
      refusals[i] = c.pod->spec.nodeName != c.cluster.nodes().row(nodes[i]).name;
  }
  void explain(const Cycle&, Refusal, std::vector<std::string>& reasons) const override {
    reasons.emplace_back("node(s) didn't match the requested node name");
  }
  uint32_t wakes() const override { return kNodeAdd; }
  bool helps(const Pod& waiting, const ClusterEvent& e) override {
    return !e.after || waiting.spec.nodeName.empty() || waiting.spec.nodeName == e.after->name();
  }
};

const Taint& unschedulableTaint() {
  static const Taint kTaint = [] {
    Taint t;
    t.key = "node.kubernetes.io/unschedulable";
    t.effect = "NoSchedule";
    return t;
  }();
  return kTaint;
}

class NodeUnschedulable : public Plugin {
 public:
  std::string_view name() const override { return "NodeUnschedulable"; }
  uint32_t stages() const override { return kFilter; }
  Prepared prepare(const Cycle& c) override {
    return toleratedByAny(*c.pod, unschedulableTaint()) ? Prepared::skipped() : Prepared();
  }
  void filter(const Cycle& c, Nodes nodes, Refusal* refusals) override {
    const auto& column = c.cluster.nodes().unschedulable;
    for (size_t i = 0; i < nodes.size(); i++) refusals[i] = column[nodes[i]];
  }
  void explain(const Cycle&, Refusal, std::vector<std::string>& reasons) const override {
    reasons.emplace_back("node(s) were unschedulable");
  }
  uint32_t wakes() const override { return kNodeAdd | kNodeTaint | kSelfToleration; }
  bool helps(const Pod& waiting, const ClusterEvent& e) override {
    if ((e.kinds & kSelfToleration) != 0) return toleratedByAny(waiting, unschedulableTaint());
    if (!e.after) return false;
    bool now = e.after->as<Node>().spec.unschedulable;
    if (!e.before) return !now;
    return e.before->as<Node>().spec.unschedulable && !now;
  }
};

class TaintToleration : public Plugin {
 public:
  std::string_view name() const override { return "TaintToleration"; }
  uint32_t stages() const override { return kFilter | kScore; }

  Prepared prepare(const Cycle& c) override {
    const NodeTable& t = c.cluster.nodes();
    if (tolerations_ != c.pod->spec.tolerations) {
      tolerations_ = c.pod->spec.tolerations;
      verdicts_.clear();
    }
    // Each list of taints is judged once for equal tolerations, however many nodes have it.
    for (size_t i = verdicts_.size(); i < t.taintLists(); i++) {
      const auto& list = t.taintList(static_cast<uint32_t>(i));
      verdicts_.push_back({!toleratesAll(*c.pod, list), softlyBad(*c.pod, list)});
    }
    return {};
  }
  void filter(const Cycle& c, Nodes nodes, Refusal* refusals) override {
    const auto& column = c.cluster.nodes().taints;
    for (size_t i = 0; i < nodes.size(); i++) refusals[i] = verdicts_[column[nodes[i]]].refused;
  }
  void explain(const Cycle&, Refusal, std::vector<std::string>& reasons) const override {
    reasons.emplace_back("node(s) had untolerated taint(s)");
  }

  // Soft taints that the pod does not tolerate count against the node.
  bool prepareScore(const Cycle& c, Nodes) override {
    prepare(c);
    // Where no taint counts every node has the same points.
    return std::any_of(verdicts_.begin(), verdicts_.end(), [](const Judged& j) { return j.bad != 0; });
  }
  void score(const Cycle& c, Nodes nodes, int64_t* scores) override {
    const auto& column = c.cluster.nodes().taints;
    for (size_t i = 0; i < nodes.size(); i++) scores[i] = verdicts_[column[nodes[i]]].bad;
    defaultNormalize(scores, nodes.size(), true);
  }

  uint32_t wakes() const override { return kNodeAdd | kNodeTaint | kSelfToleration; }
  bool helps(const Pod& waiting, const ClusterEvent& e) override {
    if ((e.kinds & kSelfToleration) != 0) return true;
    if (!e.after) return false;
    bool now = toleratesAll(waiting, e.after->as<Node>().spec.taints);
    return now && (!e.before || !toleratesAll(waiting, e.before->as<Node>().spec.taints));
  }

 private:
  struct Judged {
    bool refused;
    int64_t bad;
  };
  static int64_t softlyBad(const Pod& pod, const codec::List<Taint>& taints) {
    return std::count_if(taints.begin(), taints.end(), [&](const Taint& t) {
      return t.effect == "PreferNoSchedule" &&
             std::none_of(
                 pod.spec.tolerations.begin(), pod.spec.tolerations.end(), [&](const Toleration& tol) {
                   return (tol.effect.empty() || tol.effect == "PreferNoSchedule") && tolerates(tol, t);
                 });
    });
  }
  codec::List<Toleration> tolerations_;
  std::vector<Judged> verdicts_;  // by number of the list of taints
};

class NodePorts : public Plugin {
 public:
  std::string_view name() const override { return "NodePorts"; }
  uint32_t stages() const override { return kFilter; }
  Prepared prepare(const Cycle& c) override { return c.cls.ports.empty() ? Prepared::skipped() : Prepared(); }
  void filter(const Cycle& c, Nodes nodes, Refusal* refusals) override {
    for (size_t i = 0; i < nodes.size(); i++) {
      const auto& taken = c.cluster.nodes().row(nodes[i]).ports;
      refusals[i] = conflict(c.cls.ports, taken);
    }
  }
  Verdict verdict(Refusal) const override { return Verdict::kUnschedulable; }
  void explain(const Cycle&, Refusal, std::vector<std::string>& reasons) const override {
    reasons.emplace_back("node(s) didn't have free ports for the requested pod ports");
  }
  uint32_t wakes() const override { return kNodeAdd | kAssignedPodDelete; }
  bool helps(const Pod& waiting, const ClusterEvent& e) override {
    if ((e.kinds & kAssignedPodDelete) == 0) return true;
    return e.before && conflict(hostPorts(waiting), hostPorts(e.before->as<Pod>()));
  }

 private:
  static bool conflict(const std::vector<HostPort>& want, const std::vector<HostPort>& taken) {
    return std::any_of(want.begin(), want.end(), [&](const HostPort& w) {
      return std::any_of(taken.begin(), taken.end(), [&](const HostPort& t) { return w.conflicts(t); });
    });
  }
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

bool toleratedByAny(const Pod& pod, const Taint& taint) {
  return std::any_of(pod.spec.tolerations.begin(), pod.spec.tolerations.end(),
                     [&](const Toleration& t) { return tolerates(t, taint); });
}

bool toleratesAll(const Pod& pod, const codec::List<Taint>& taints) {
  return std::all_of(taints.begin(), taints.end(),
                     [&](const Taint& t) { return !keepsAway(t) || toleratedByAny(pod, t); });
}

std::unique_ptr<Plugin> makeSchedulingGates() {
  return std::make_unique<SchedulingGates>();
}
std::unique_ptr<Plugin> makeNodeName() {
  return std::make_unique<NodeName>();
}
std::unique_ptr<Plugin> makeNodeUnschedulable() {
  return std::make_unique<NodeUnschedulable>();
}
std::unique_ptr<Plugin> makeTaintToleration() {
  return std::make_unique<TaintToleration>();
}
std::unique_ptr<Plugin> makeNodePorts() {
  return std::make_unique<NodePorts>();
}

}  // namespace km::scheduler
