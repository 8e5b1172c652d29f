// InterPodAffinity: pods that want to be near others, or away from them.
//
// Nothing here walks over pods. What the pod's own terms ask is answered by counters of the pods that they
// match; what the terms of pods on nodes say of this pod, by counts of the carriers of each term.
#include <algorithm>
#include <climits>

#include "scheduler/plugins/plugins.h"

namespace km::scheduler {
namespace {

using api::core_v1::Node;
using api::core_v1::Pod;

struct Counted {
  std::shared_ptr<PodCounter> pods;
  std::shared_ptr<TopologyCounts> counts;
  int64_t weight = 0;
};

struct Known : ClassCache {
  std::vector<Counted> required, anti, preferred;  // preferred: anti-affinity with a negative weight
  bool matchesItself = false;                      // by all required terms
  uint64_t carriedVersion = 0;
  std::vector<CarriedTerm*> against;                      // required anti-affinity that speaks of this class
  std::vector<std::pair<CarriedTerm*, int64_t>> scoring;  // weighted terms that do
};

bool matchesAll(const std::vector<Term>& terms, const Pod& pod, const Namespaces& namespaces) {
  return !terms.empty() && std::all_of(terms.begin(), terms.end(), [&](const Term& t) {
    return t.pods.matches(pod.metadata.namespace_, pod.metadata.labels, namespaces);
  });
}

constexpr Refusal kAffinity = 1, kAntiAffinity = 2, kExistingAntiAffinity = 3;

class InterPodAffinity : public Plugin {
 public:
  explicit InterPodAffinity(const PluginArgs& args)
      : hardWeight_(args.hardPodAffinityWeight), ignoreExisting_(args.ignorePreferredTermsOfExistingPods) {}

  std::string_view name() const override { return "InterPodAffinity"; }
  uint32_t stages() const override { return kFilter | kScore; }

  Prepared prepare(const Cycle& c) override {
    known_ = &knownOf(c);
    namespaces_ = &c.cluster.namespaces();
    bool anyAgainst = false;
    for (CarriedTerm* t : known_->against) {
      t->counts->refresh();
      anyAgainst = anyAgainst || t->counts->all() > 0;
    }
    for (auto* list : {&known_->required, &known_->anti}) {
      for (Counted& k : *list) k.counts->refresh();
    }
    bool none = !anyAgainst && known_->required.empty() && known_->anti.empty();
    return none ? Prepared::skipped() : Prepared();
  }

  void filter(const Cycle& c, Nodes nodes, Refusal* refusals) override {
    // Terms come and go while things are tried out.
    if (known_->carriedVersion != c.cluster.carriedVersion()) prepare(c);
    if (!known_->required.empty()) requireNear(nodes, refusals);
    auto keepAway = [&](const TopologyCounts& counts, Refusal why) {
      if (counts.all() == 0) return;
      const auto& value = counts.column().value;
      for (size_t i = 0; i < nodes.size(); i++) {
        uint32_t v = value[nodes[i]];
        if (refusals[i] == 0 && v != 0 && counts.ofValue(v) > 0) refusals[i] = why;
      }
    };
    for (const Counted& k : known_->anti) keepAway(*k.counts, kAntiAffinity);
    for (const CarriedTerm* t : known_->against) keepAway(*t->counts, kExistingAntiAffinity);
  }
  Verdict verdict(Refusal r) const override {
    return r == kAffinity ? Verdict::kUnschedulableAndUnresolvable : Verdict::kUnschedulable;
  }
  void explain(const Cycle&, Refusal r, std::vector<std::string>& reasons) const override {
    reasons.emplace_back(r == kAffinity       ? "node(s) didn't match pod affinity rules"
                         : r == kAntiAffinity ? "node(s) didn't match pod anti-affinity rules"
                                              : "node(s) didn't satisfy existing pods anti-affinity rules");
  }

  bool prepareScore(const Cycle& c, Nodes) override {
    known_ = &knownOf(c);
    if (ignoreExisting_ && known_->preferred.empty()) return false;
    for (Counted& k : known_->preferred) k.counts->refresh();
    for (auto& [t, weight] : known_->scoring) t->counts->refresh();
    auto any = [](const auto& k) { return k.counts->all() > 0; };
    return std::any_of(known_->preferred.begin(), known_->preferred.end(), any) ||
           std::any_of(known_->scoring.begin(), known_->scoring.end(),
                       [&](const auto& s) { return any(*s.first); });
  }

  void score(const Cycle& c, Nodes nodes, int64_t* scores) override {
    auto add = [&](const TopologyCounts& counts, int64_t weight) {
      const auto& value = counts.column().value;
      for (size_t i = 0; i < nodes.size(); i++) {
        if (uint32_t v = value[nodes[i]]; v != 0) scores[i] += weight * counts.ofValue(v);
      }
    };
    for (const Counted& k : known_->preferred) add(*k.counts, k.weight);
    for (const auto& [t, weight] : known_->scoring) add(*t->counts, weight);
    auto [least, most] = std::minmax_element(scores, scores + nodes.size());
    int64_t low = *least, range = *most - low;
    for (size_t i = 0; i < nodes.size(); i++) {
      double share = range > 0 ? static_cast<double>(scores[i] - low) / static_cast<double>(range) : 0;
      scores[i] = static_cast<int64_t>(static_cast<double>(kMaxNodeScore) * share);
    }
  }

  uint32_t wakes() const override {
    return kAssignedPodAdd | kAssignedPodLabel | kAssignedPodDelete | kSelfLabel | kNodeAdd | kNodeLabel;
  }
  bool helps(const Pod& waiting, const ClusterEvent& e) override {
    if ((e.kinds & kSelfLabel) != 0) return true;
    AffinityTerms terms = affinityTermsOf(waiting);
    if ((e.kinds & (kNodeAdd | kNodeLabel)) != 0) return nodeHelps(terms, e);
    static const Namespaces kNone;
    const Namespaces& all = namespaces_ != nullptr ? *namespaces_ : kNone;
    const Pod* before = e.before ? &e.before->as<Pod>() : nullptr;
    const Pod* after = e.after ? &e.after->as<Pod>() : nullptr;
    if (before != nullptr && after != nullptr) {
      if (!matchesAll(terms.required, *before, all) && matchesAll(terms.required, *after, all)) return true;
      return matchesAll(terms.anti, *before, all) && !matchesAll(terms.anti, *after, all);
    }
    if (after != nullptr) return matchesAll(terms.required, *after, all);
    if (before == nullptr) return true;
    return matchesAll(terms.anti, *before, all) || matchesAll(affinityTermsOf(*before).anti, waiting, all);
  }

 private:
  void requireNear(Nodes nodes, Refusal* refusals) {
    // The first of pods that want to be near each other may go anywhere.
    bool first = known_->matchesItself && std::all_of(known_->required.begin(), known_->required.end(),
                                                      [](const Counted& k) { return k.counts->all() == 0; });
    for (const Counted& k : known_->required) {
      const auto& value = k.counts->column().value;
      for (size_t i = 0; i < nodes.size(); i++) {
        uint32_t v = value[nodes[i]];
        if (v == 0 || (!first && k.counts->ofValue(v) <= 0)) refusals[i] = kAffinity;
      }
    }
  }

  static bool nodeHelps(const AffinityTerms& terms, const ClusterEvent& e) {
    if (!e.after) return false;
    auto label = [](const api::ObjectPtr& o, const Term& t) {
      return o ? o->meta().labels.find(t.topologyKey) : nullptr;
    };
    for (const Term& t : terms.required) {
      const auto *was = label(e.before, t), *is = label(e.after, t);
      if (is != nullptr && (was == nullptr || !(*was == *is))) return true;
    }
    for (const Term& t : terms.anti) {
      if (!e.before) return true;
      const auto *was = label(e.before, t), *is = label(e.after, t);
      if (was != nullptr && (is == nullptr || !(*was == *is))) return true;
    }
    return false;
  }

  Known& knownOf(const Cycle& c) {
    Known* k = c.cls.cache<Known>(slot);
    if (k == nullptr) k = &make(c);
    if (k->carriedVersion == c.cluster.carriedVersion()) return *k;
    k->carriedVersion = c.cluster.carriedVersion();
    k->matchesItself =
        !k->required.empty() && k->required[0].pods->matches(c.cls.ns, c.cls.labels, c.cluster.namespaces());
    k->against.clear();
    k->scoring.clear();
    for (CarriedTerm* t : c.cluster.carriedTerms()) {
      using Kind = CarriedTerm::Kind;
      int64_t weight = t->kind == Kind::kRequired    ? hardWeight_
                       : t->kind == Kind::kPreferred ? t->weight
                                                     : -t->weight;
      if ((t->kind != Kind::kAnti && weight == 0) ||
          !t->term.pods.matches(c.cls.ns, c.cls.labels, c.cluster.namespaces())) {
        continue;
      }
      if (t->kind == Kind::kAnti) {
        k->against.push_back(t);
      } else {
        k->scoring.emplace_back(t, weight);
      }
    }
    return *k;
  }

  Known& make(const Cycle& c) {
    auto k = std::make_unique<Known>();
    const AffinityTerms& terms = c.cls.terms;
    NodeTable& nodes = c.cluster.nodes();
    auto counted = [&](std::shared_ptr<PodCounter> pods, const Term& t, int64_t weight) {
      auto counts = pods->over(nodes, t.topologyKey);
      return Counted{std::move(pods), std::move(counts), weight};
    };
    if (!terms.required.empty()) {
      std::vector<PodSelection> all;
      for (const Term& t : terms.required) all.push_back(t.pods);
      auto pods = c.cluster.counter(std::move(all), true);
      for (const Term& t : terms.required) k->required.push_back(counted(pods, t, 0));
    }
    for (const Term& t : terms.anti) k->anti.push_back(counted(c.cluster.counter({t.pods}, true), t, 0));
    for (const auto& w : terms.preferred) {
      k->preferred.push_back(counted(c.cluster.counter({w.term.pods}, true), w.term, w.weight));
    }
    for (const auto& w : terms.preferredAnti) {
      k->preferred.push_back(counted(c.cluster.counter({w.term.pods}, true), w.term, -w.weight));
    }
    return c.cls.setCache(slot, std::move(k));
  }

  const int64_t hardWeight_;
  const bool ignoreExisting_;
  const Namespaces* namespaces_ = nullptr;
  Known* known_ = nullptr;
};

}  // namespace

std::unique_ptr<Plugin> makeInterPodAffinity(const PluginArgs& args) {
  return std::make_unique<InterPodAffinity>(args);
}

}  // namespace km::scheduler
