// PodTopologySpread: pods of a kind evenly over the values of a node label.
#include <fmt/format.h>

#include <algorithm>
#include <climits>
#include <cmath>

#include "api/types/apps_v1.h"
#include "scheduler/plugins/plugins.h"

namespace km::scheduler {
namespace {

using api::core_v1::Node;
using api::core_v1::Pod;
using api::core_v1::TopologySpreadConstraint;
using Constraints = codec::List<TopologySpreadConstraint>;

constexpr std::string_view kHostname = "kubernetes.io/hostname";
constexpr Refusal kMissingLabel = 1, kSkew = 2;

struct Rule {
  std::shared_ptr<PodCounter> pods;
  std::shared_ptr<TopologyCounts> counts;
  int32_t maxSkew = 1, minDomains = 1;
  bool matchesItself = false, hostname = false, countsNothing = false;
};

struct Known : ClassCache {
  std::string defaults;  // the selectors of the default constraints, as text
  int64_t version = -1;  // of the informers that they come from
  std::vector<Rule> hard, soft;
  bool requireAll = true;
};

Constraints systemDefaults() {
  Constraints out;
  auto add = [&](std::string_view key, int32_t skew) {
    auto& c = out.add();
    c.topologyKey = key;
    c.maxSkew = skew;
    c.whenUnsatisfiable = "ScheduleAnyway";
  };
  add(kHostname, 3);
  add("topology.kubernetes.io/zone", 5);
  return out;
}

bool hasKeys(const Labels& labels, const std::vector<const TopologySpreadConstraint*>& list) {
  return std::all_of(list.begin(), list.end(),
                     [&](const auto* c) { return labels.contains(c->topologyKey); });
}

std::vector<const TopologySpreadConstraint*> hardOf(const Pod& pod) {
  std::vector<const TopologySpreadConstraint*> out;
  for (const auto& c : pod.spec.topologySpreadConstraints) {
    if (c.whenUnsatisfiable == "DoNotSchedule") out.push_back(&c);
  }
  return out;
}

// What the pod's owner and services select it by: upstream's DefaultSelector.
std::vector<api::LabelSelector> defaultSelectors(const Pod& pod, const Listers& from) {
  std::vector<api::LabelSelector> out;
  Labels merged;
  const auto& ns = pod.metadata.namespace_;
  if (from.services != nullptr) {
    for (const auto& s : client::Lister<api::core_v1::Service>(*from.services).list(ns)) {
      if (s->spec.selector.empty() ||
          !api::LabelSelector::ofSet(s->spec.selector).matches(pod.metadata.labels))
        continue;
      for (const auto& [k, v] : s->spec.selector) merged[k] = v;
    }
  }
  const auto* owner = controllerOf(pod.metadata);
  auto lookUp = [&](auto* informer, auto lister) {
    return informer == nullptr ? nullptr : lister(*informer).get(ns, owner->name);
  };
  const codec::Box<api::meta_v1::LabelSelector>* selector = nullptr;
  std::shared_ptr<const void> keep;
  if (owner != nullptr && owner->kind == "ReplicationController" && owner->apiVersion == "v1") {
    auto o = lookUp(from.replicationControllers,
                    [](auto& i) { return client::Lister<api::core_v1::ReplicationController>(i); });
    if (o) {
      for (const auto& [k, v] : o->spec.selector) merged[k] = v;
    }
  } else if (owner != nullptr && owner->kind == "ReplicaSet" && owner->apiVersion == "apps/v1") {
    auto o = lookUp(from.replicaSets, [](auto& i) { return client::Lister<api::apps_v1::ReplicaSet>(i); });
    if (o) selector = &o->spec.selector;
    keep = o;
  } else if (owner != nullptr && owner->kind == "StatefulSet" && owner->apiVersion == "apps/v1") {
    auto o = lookUp(from.statefulSets, [](auto& i) { return client::Lister<api::apps_v1::StatefulSet>(i); });
    if (o) selector = &o->spec.selector;
    keep = o;
  }
  if (!merged.empty()) out.push_back(api::LabelSelector::ofSet(merged));
  if (selector != nullptr) {
    api::LabelSelector s = selectorOf(*selector);
    if (!s.requirements().empty()) out.push_back(std::move(s));
  }
  return out;
}

class PodTopologySpread : public Plugin {
 public:
  PodTopologySpread(const PluginArgs& args, const Listers& listers)
      : system_(args.systemDefaulting),
        defaults_(args.systemDefaulting ? systemDefaults() : args.defaultConstraints),
        listers_(listers) {}

  std::string_view name() const override { return "PodTopologySpread"; }
  uint32_t stages() const override { return kFilter | kScore; }

  Prepared prepare(const Cycle& c) override {
    known_ = &knownOf(c);
    for (Rule& r : known_->hard) r.counts->refresh();
    return known_->hard.empty() ? Prepared::skipped() : Prepared();
  }

  void filter(const Cycle&, Nodes nodes, Refusal* refusals) override {
    for (Rule& r : known_->hard) {
      const auto& value = r.counts->column().value;
      int64_t least = r.counts->domains() < r.minDomains ? 0 : r.counts->least();
      int64_t most = r.maxSkew + least - (r.matchesItself ? 1 : 0);
      for (size_t i = 0; i < nodes.size(); i++) {
        if (refusals[i] != 0) continue;
        uint32_t v = value[nodes[i]];
        if (v == 0) {
          refusals[i] = kMissingLabel;
        } else if ((r.countsNothing ? 0 : r.counts->ofValue(v)) > most) {
          refusals[i] = kSkew;
        }
      }
    }
  }
  Verdict verdict(Refusal r) const override {
    return r == kMissingLabel ? Verdict::kUnschedulableAndUnresolvable : Verdict::kUnschedulable;
  }
  void explain(const Cycle&, Refusal r, std::vector<std::string>& reasons) const override {
    reasons.push_back(fmt::format("node(s) didn't match pod topology spread constraints{}",
                                  r == kMissingLabel ? " (missing required label)" : ""));
  }

  bool prepareScore(const Cycle& c, Nodes feasible) override {
    known_ = &knownOf(c);
    if (known_->soft.empty()) return false;
    for (Rule& r : known_->soft) r.counts->refresh();
    ignored_.assign(feasible.size(), 0);
    size_t counted = feasible.size();
    if (known_->requireAll) {
      for (size_t i = 0; i < feasible.size(); i++) {
        ignored_[i] = std::any_of(known_->soft.begin(), known_->soft.end(),
                                  [&](const Rule& r) { return r.counts->column().value[feasible[i]] == 0; });
        counted -= ignored_[i];
      }
    }
    weights_.clear();
    for (const Rule& r : known_->soft) {
      size_t places = r.hostname ? counted : placesOf(r, feasible);
      weights_.push_back(std::log(static_cast<double>(places + 2)));
    }
    return true;
  }

  void score(const Cycle&, Nodes nodes, int64_t* scores) override {
    int64_t least = INT64_MAX, most = 0;
    for (size_t i = 0; i < nodes.size(); i++) {
      if (ignored_[i] != 0) continue;
      double sum = 0;
      for (size_t k = 0; k < known_->soft.size(); k++) {
        const Rule& r = known_->soft[k];
        uint32_t v = r.counts->column().value[nodes[i]];
        if (v == 0) continue;
        int32_t count = r.countsNothing ? 0 : r.hostname ? r.pods->on(nodes[i]) : r.counts->ofValue(v);
        sum += static_cast<double>(count) * weights_[k] + static_cast<double>(r.maxSkew - 1);
      }
      scores[i] = std::llround(sum);
      least = std::min(least, scores[i]);
      most = std::max(most, scores[i]);
    }
    for (size_t i = 0; i < nodes.size(); i++) {
      if (ignored_[i] != 0) {
        scores[i] = 0;
      } else {
        scores[i] = most == 0 ? kMaxNodeScore : kMaxNodeScore * (most + least - scores[i]) / most;
      }
    }
  }

  uint32_t wakes() const override {
    return kAssignedPodAdd | kAssignedPodLabel | kAssignedPodDelete | kSelfLabel | kSelfToleration |
           kNodeAdd | kNodeDelete | kNodeLabel | kNodeTaint;
  }
  bool helps(const Pod& waiting, const ClusterEvent& e) override {
    auto hard = hardOf(waiting);
    if ((e.kinds & (kNodeAdd | kNodeDelete | kNodeLabel | kNodeTaint)) != 0) return nodeHelps(hard, e);
    if ((e.kinds & kSelfToleration) != 0) {
      return std::any_of(hard.begin(), hard.end(),
                         [](const auto* c) { return c->nodeTaintsPolicy == codec::String("Honor"); });
    }
    const Pod* before = e.before ? &e.before->as<Pod>() : nullptr;
    const Pod* after = e.after ? &e.after->as<Pod>() : nullptr;
    bool self = (e.kinds & kSelfLabel) != 0;
    for (const Pod* p : {before, after}) {
      if (!self && p != nullptr && p->metadata.namespace_ != waiting.metadata.namespace_) return false;
    }
    return std::any_of(hard.begin(), hard.end(), [&](const auto* c) {
      api::LabelSelector s = selectorOf(c->labelSelector);
      if (before != nullptr && after != nullptr)
        return s.matches(before->metadata.labels) != s.matches(after->metadata.labels);
      return s.matches((after != nullptr ? after : before)->metadata.labels);
    });
  }

 private:
  static bool nodeHelps(const std::vector<const TopologySpreadConstraint*>& hard, const ClusterEvent& e) {
    bool was = e.before && hasKeys(e.before->meta().labels, hard),
         is = e.after && hasKeys(e.after->meta().labels, hard);
    if (!e.before || !e.after) return was || is;
    if (was != is) return true;
    if (!is) return false;
    if (!(e.before->as<Node>().spec.taints == e.after->as<Node>().spec.taints)) return true;
    return std::any_of(hard.begin(), hard.end(), [&](const auto* c) {
      return !(e.before->meta().labels.get(c->topologyKey) == e.after->meta().labels.get(c->topologyKey));
    });
  }

  // How many places the nodes that may be chosen are in; "no label" is one, too.
  size_t placesOf(const Rule& r, Nodes feasible) {
    const LabelColumn& column = r.counts->column();
    seen_.assign(column.count, 0);
    size_t places = 0;
    for (size_t i = 0; i < feasible.size(); i++) {
      if (ignored_[i] != 0) continue;
      uint8_t& seen = seen_[column.value[feasible[i]]];
      places += seen == 0;
      seen = 1;
    }
    return places;
  }

  int64_t listersVersion() const {
    int64_t v = 0;
    for (const auto* i :
         {listers_.services, listers_.replicationControllers, listers_.replicaSets, listers_.statefulSets}) {
      if (i != nullptr) v += i->lastResourceVersion();
    }
    return v;
  }

  Known& knownOf(const Cycle& c) {
    Known* k = c.cls.cache<Known>(slot);
    bool own = !c.pod->spec.topologySpreadConstraints.empty();
    if (k != nullptr && (own || defaults_.empty())) return *k;
    std::vector<api::LabelSelector> selectors;
    if (!own && !defaults_.empty()) {
      int64_t version = listersVersion();
      if (k != nullptr && k->version == version) return *k;
      selectors = defaultSelectors(*c.pod, listers_);
      std::string text;
      for (const auto& s : selectors) text += s.str() + ";";
      if (k != nullptr && k->defaults == text) {
        k->version = version;
        return *k;
      }
      auto fresh = std::make_unique<Known>();
      fresh->defaults = std::move(text);
      fresh->version = version;
      fresh->requireAll = !system_;
      if (!selectors.empty()) {
        fresh->hard = rulesOf(c, defaults_, "DoNotSchedule", &selectors, true);
        fresh->soft = rulesOf(c, defaults_, "ScheduleAnyway", &selectors, !system_);
      }
      return c.cls.setCache(slot, std::move(fresh));
    }
    auto fresh = std::make_unique<Known>();
    fresh->hard = rulesOf(c, c.pod->spec.topologySpreadConstraints, "DoNotSchedule", nullptr, true);
    fresh->soft = rulesOf(c, c.pod->spec.topologySpreadConstraints, "ScheduleAnyway", nullptr, true);
    return c.cls.setCache(slot, std::move(fresh));
  }

  static std::vector<Rule> rulesOf(const Cycle& c, const Constraints& all, std::string_view action,
                                   const std::vector<api::LabelSelector>* selectors, bool requireAll) {
    std::vector<const TopologySpreadConstraint*> list;
    for (const auto& t : all) {
      if (t.whenUnsatisfiable == action) list.push_back(&t);
    }
    std::vector<Rule> out;
    for (const auto* t : list) {
      Rule r;
      std::vector<PodSelection> selections;
      for (const auto& s : selectors != nullptr ? *selectors : std::vector{selectorOf(t->labelSelector)}) {
        // An empty selector selects this pod, but counts none.
        r.countsNothing = r.countsNothing || s.empty();
        selections.push_back({{c.cls.ns}, std::nullopt, s});
      }
      r.pods = c.cluster.counter(std::move(selections), false);
      r.counts =
          overEligible(c, *r.pods, *t, requireAll ? list : std::vector<const TopologySpreadConstraint*>());
      r.maxSkew = t->maxSkew;
      r.minDomains = t->minDomains.value_or(1);
      r.hostname = t->topologyKey == kHostname;
      r.matchesItself = r.pods->matches(c.cls.ns, c.cls.labels, c.cluster.namespaces());
      out.push_back(std::move(r));
    }
    return out;
  }

  // Counts over the nodes that the constraint's inclusion policies let count.
  static std::shared_ptr<TopologyCounts> overEligible(
      const Cycle& c, PodCounter& pods, const TopologySpreadConstraint& t,
      const std::vector<const TopologySpreadConstraint*>& required) {
    bool affinity = !t.nodeAffinityPolicy || *t.nodeAffinityPolicy == "Honor";
    bool taints = t.nodeTaintsPolicy && *t.nodeTaintsPolicy == "Honor";
    std::string affinityKey = affinity ? nodeAffinityKey(*c.pod) : "";
    affinity = !affinityKey.empty();
    std::string key = affinityKey + '\n' + (taints ? "t" + tolerationsKey(*c.pod) : "") + '\n';
    std::vector<const LabelColumn*> columns;
    NodeTable& nodes = c.cluster.nodes();
    for (const auto* r : required) {
      columns.push_back(&nodes.label(r->topologyKey));
      key.append(r->topologyKey).push_back('\n');
    }
    auto asker = std::make_shared<Pod>();  // as much of the pod as the question needs
    if (affinity) {
      asker->spec.nodeSelector = c.pod->spec.nodeSelector;
      if (c.pod->spec.affinity)
        asker->spec.affinity.ensure().nodeAffinity = c.pod->spec.affinity->nodeAffinity;
    }
    if (taints) asker->spec.tolerations = c.pod->spec.tolerations;
    return pods.over(nodes, t.topologyKey.str(), key, [&nodes, columns, asker, affinity, taints](NodeId id) {
      for (const LabelColumn* column : columns) {
        if (column->value[id] == 0) return false;
      }
      const Node& node = *nodes.row(id).node;
      return (!affinity || acceptsNode(*asker, node)) && (!taints || toleratesAll(*asker, node.spec.taints));
    });
  }

  const bool system_;
  const Constraints defaults_;
  const Listers listers_;
  Known* known_ = nullptr;
  std::vector<uint8_t> ignored_, seen_;
  std::vector<double> weights_;
};

}  // namespace

std::unique_ptr<Plugin> makePodTopologySpread(const PluginArgs& args, const Listers& listers) {
  return std::make_unique<PodTopologySpread>(args, listers);
}

}  // namespace km::scheduler
