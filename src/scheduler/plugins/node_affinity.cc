// NodeAffinity: nodeSelector, required and preferred node affinity.
#include <algorithm>
#include <charconv>
#include <unordered_map>

#include "scheduler/plugins/plugins.h"

namespace km::scheduler {

using api::core_v1::Node;
using api::core_v1::NodeSelector;
using api::core_v1::NodeSelectorRequirement;
using api::core_v1::NodeSelectorTerm;
using api::core_v1::Pod;

namespace {

bool has(const codec::List<codec::String>& values, std::string_view v) {
  return std::find(values.begin(), values.end(), v) != values.end();
}

bool matches(const NodeSelectorRequirement& r, const codec::String* value) {
  if (r.operator_ == "In") return value != nullptr && has(r.values, *value);
  if (r.operator_ == "NotIn") return value == nullptr || !has(r.values, *value);
  if (r.operator_ == "Exists") return value != nullptr;
  if (r.operator_ == "DoesNotExist") return value == nullptr;
  if (value == nullptr || r.values.size() != 1) return false;
  int64_t have, want;
  auto number = [](std::string_view s, int64_t& v) {
    auto x = std::from_chars(s.data(), s.data() + s.size(), v);
    return !s.empty() && x.ec == std::errc() && x.ptr == s.data() + s.size();
  };
  if (!number(*value, have) || !number(r.values[0], want)) return false;
  return r.operator_ == "Gt" ? have > want : r.operator_ == "Lt" && have < want;
}

const NodeSelector* requiredOf(const Pod& pod) {
  if (!pod.spec.affinity || !pod.spec.affinity->nodeAffinity) return nullptr;
  return pod.spec.affinity->nodeAffinity->requiredDuringSchedulingIgnoredDuringExecution.get();
}

constexpr std::string_view kReason = "node(s) didn't match Pod's node affinity/selector";
constexpr Refusal kByPod = 1, kByProfile = 2;

class NodeAffinity : public Plugin {
 public:
  explicit NodeAffinity(const PluginArgs& args) : added_(args.addedAffinity) {}

  std::string_view name() const override { return "NodeAffinity"; }
  uint32_t stages() const override { return kFilter | kScore; }

  Prepared prepare(const Cycle& c) override {
    const NodeSelector* required = requiredOf(*c.pod);
    bool added = added_ && added_->requiredDuringSchedulingIgnoredDuringExecution;
    if (!added && required == nullptr && c.pod->spec.nodeSelector.empty()) return Prepared::skipped();
    Prepared out;
    known_ = nullptr;
    if (required != nullptr) {
      out.only = named(c, *required);
      if (out.only) return out;
    }
    known_ = &matchOf(c);
    return out;
  }

  void filter(const Cycle& c, Nodes nodes, Refusal* refusals) override {
    const NodeTable& t = c.cluster.nodes();
    for (size_t i = 0; i < nodes.size(); i++) {
      if (known_ != nullptr) {
        refusals[i] = known_->refusals[nodes[i]];
      } else {
        refusals[i] = judge(*c.pod, *t.row(nodes[i]).node);
      }
    }
  }
  void explain(const Cycle&, Refusal r, std::vector<std::string>& reasons) const override {
    reasons.emplace_back(r == kByPod ? kReason : "node(s) didn't match scheduler-enforced node affinity");
  }

  bool prepareScore(const Cycle& c, Nodes) override {
    return !preferred(*c.pod).empty() || !addedPreferred().empty();
  }
  void score(const Cycle& c, Nodes nodes, int64_t* scores) override {
    const NodeTable& t = c.cluster.nodes();
    for (size_t i = 0; i < nodes.size(); i++) {
      for (const auto* list : {&preferred(*c.pod), &addedPreferred()}) {
        for (const auto& p : *list) {
          bool empty = p.preference.matchExpressions.empty() && p.preference.matchFields.empty();
          if (p.weight != 0 && (empty || matchesTerm(p.preference, *t.row(nodes[i]).node)))
            scores[i] += p.weight;
        }
      }
    }
    defaultNormalize(scores, nodes.size(), false);
  }

  uint32_t wakes() const override { return kNodeAdd | kNodeLabel; }
  bool helps(const Pod& waiting, const ClusterEvent& e) override {
    if (!e.after) return false;
    bool now = judge(waiting, e.after->as<Node>()) == 0;
    return now && (!e.before || judge(waiting, e.before->as<Node>()) != 0);
  }

 private:
  using Preferred = codec::List<api::core_v1::PreferredSchedulingTerm>;
  struct Known {
    uint64_t layout = 0;
    std::vector<uint8_t> refusals;  // by NodeId
    uint64_t used = 0;
  };

  static const Preferred& preferred(const Pod& pod) {
    static const Preferred kNone;
    if (!pod.spec.affinity || !pod.spec.affinity->nodeAffinity) return kNone;
    return pod.spec.affinity->nodeAffinity->preferredDuringSchedulingIgnoredDuringExecution;
  }
  const Preferred& addedPreferred() const {
    static const Preferred kNone;
    return added_ ? added_->preferredDuringSchedulingIgnoredDuringExecution : kNone;
  }

  Refusal judge(const Pod& pod, const Node& node) const {
    if (added_ && added_->requiredDuringSchedulingIgnoredDuringExecution &&
        !matchesSelector(*added_->requiredDuringSchedulingIgnoredDuringExecution, node)) {
      return kByProfile;
    }
    return acceptsNode(pod, node) ? 0 : kByPod;
  }

  // The nodes that every term names, if every term names some.
  static std::optional<std::vector<NodeId>> named(const Cycle& c, const NodeSelector& required) {
    std::vector<NodeId> out;
    for (const auto& term : required.nodeSelectorTerms) {
      std::optional<std::vector<std::string_view>> names;
      for (const auto& f : term.matchFields) {
        if (f.key != "metadata.name" || f.operator_ != "In") continue;
        std::vector<std::string_view> these(f.values.begin(), f.values.end());
        if (names) {
          std::erase_if(*names, [&](std::string_view n) {
            return std::find(these.begin(), these.end(), n) == these.end();
          });
        } else {
          names = std::move(these);
        }
      }
      if (!names) return std::nullopt;
      for (std::string_view n : *names) {
        NodeId id = c.cluster.nodes().find(n);
        bool there = id != kNoNode && c.cluster.nodes().exists(id);
        if (there && std::find(out.begin(), out.end(), id) == out.end()) out.push_back(id);
      }
    }
    if (required.nodeSelectorTerms.empty()) return std::nullopt;
    return out;
  }

  // What equal selectors say of every node, until labels change.
  const Known& matchOf(const Cycle& c) {
    if (matches_.size() > kKnown) {
      std::erase_if(matches_, [&](const auto& k) { return k.second.used + kKnown / 2 < uses_; });
    }
    Known& k = matches_[nodeAffinityKey(*c.pod)];
    k.used = ++uses_;
    const NodeTable& t = c.cluster.nodes();
    if (k.layout == t.layout()) return k;
    k.layout = t.layout();
    k.refusals.assign(t.slots(), 0);
    for (NodeId id = 0; id < t.slots(); id++) {
      if (t.exists(id)) k.refusals[id] = static_cast<uint8_t>(judge(*c.pod, *t.row(id).node));
    }
    return k;
  }

  static constexpr size_t kKnown = 64;
  const codec::Box<api::core_v1::NodeAffinity> added_;
  std::unordered_map<std::string, Known> matches_;
  const Known* known_ = nullptr;
  uint64_t uses_ = 0;
};

}  // namespace

// An empty term matches nothing.
bool matchesTerm(const NodeSelectorTerm& term, const Node& node) {
  if (term.matchExpressions.empty() && term.matchFields.empty()) return false;
  for (const auto& r : term.matchExpressions) {
    if (!matches(r, node.metadata.labels.find(r.key))) return false;
  }
  for (const auto& r : term.matchFields) {
    if (r.key != "metadata.name" || !matches(r, &node.metadata.name)) return false;
  }
  return true;
}

bool matchesSelector(const NodeSelector& selector, const Node& node) {
  const auto& terms = selector.nodeSelectorTerms;
  return std::any_of(terms.begin(), terms.end(), [&](const auto& t) { return matchesTerm(t, node); });
}

bool acceptsNode(const Pod& pod, const Node& node) {
  for (const auto& [key, value] : pod.spec.nodeSelector) {
    const codec::String* have = node.metadata.labels.find(key);
    if (have == nullptr || !(*have == value)) return false;
  }
  const NodeSelector* required = requiredOf(pod);
  return required == nullptr || matchesSelector(*required, node);
}

std::unique_ptr<Plugin> makeNodeAffinity(const PluginArgs& args) {
  return std::make_unique<NodeAffinity>(args);
}

}  // namespace km::scheduler
