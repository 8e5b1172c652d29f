// NodeAffinity: nodeSelector, required and preferred node affinity.
#include <algorithm>
#include <charconv>

#include "scheduler/plugins/plugins.h"

namespace km::scheduler {
namespace {

using api::core_v1::NodeSelectorRequirement;
using api::core_v1::NodeSelectorTerm;
using api::core_v1::Pod;

bool has(const codec::List<codec::String>& values, std::string_view v) { return std::find(values.begin(), values.end(), v) != values.end(); }

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

// An empty term matches nothing.
bool matches(const NodeSelectorTerm& term, const api::core_v1::Node& node) {
  if (term.matchExpressions.empty() && term.matchFields.empty()) return false;
  for (const auto& r : term.matchExpressions) {
    if (!matches(r, node.metadata.labels.find(r.key))) return false;
  }
  for (const auto& r : term.matchFields) {
    if (r.key != "metadata.name" || !matches(r, &node.metadata.name)) return false;
  }
  return true;
}

class NodeAffinity : public Plugin {
 public:
  std::string_view name() const override { return "NodeAffinity"; }
  bool hasFilter() const override { return true; }
  bool hasScore() const override { return true; }

  FilterResult filter(const Pod& pod, const NodeInfo& n) const override {
    static const char* kReason = "node(s) didn't match Pod's node affinity/selector";
    for (const auto& [key, value] : pod.spec.nodeSelector) {
      const codec::String* have = n.node->metadata.labels.find(key);
      if (have == nullptr || !(*have == value)) return FilterResult::never(kReason);
    }
    if (pod.spec.affinity && pod.spec.affinity->nodeAffinity && pod.spec.affinity->nodeAffinity->requiredDuringSchedulingIgnoredDuringExecution) {
      const auto& terms = pod.spec.affinity->nodeAffinity->requiredDuringSchedulingIgnoredDuringExecution->nodeSelectorTerms;
      bool any = std::any_of(terms.begin(), terms.end(), [&](const auto& t) { return matches(t, *n.node); });
      if (!any) return FilterResult::never(kReason);
    }
    return {};
  }

  bool scores(const Pod& pod) const override {
    return pod.spec.affinity && pod.spec.affinity->nodeAffinity && !pod.spec.affinity->nodeAffinity->preferredDuringSchedulingIgnoredDuringExecution.empty();
  }
  int64_t score(const Pod& pod, const NodeInfo& n, const Cluster&) const override {
    int64_t total = 0;
    for (const auto& p : pod.spec.affinity->nodeAffinity->preferredDuringSchedulingIgnoredDuringExecution) {
      bool empty = p.preference.matchExpressions.empty() && p.preference.matchFields.empty();
      if (p.weight != 0 && (empty || matches(p.preference, *n.node))) total += p.weight;
    }
    return total;
  }
  void normalize(std::vector<int64_t>& s) const override { defaultNormalize(s, false); }
  uint32_t wakes() const override { return bit(Change::kNodeAdded) | bit(Change::kNodeLabels) | bit(Change::kPodUpdated); }
};

}  // namespace

std::unique_ptr<Plugin> makeNodeAffinity() { return std::make_unique<NodeAffinity>(); }

}  // namespace km::scheduler
