// PodTopologySpread and InterPodAffinity against the rules said plainly: after random changes of pods, nodes
// and namespaces, both must refuse the same nodes. The plain side walks over all pods each time.
#include <gtest/gtest.h>

#include <climits>
#include <random>
#include <set>

#include "codec/json.h"
#include "scheduler/plugins/plugins.h"
#include "scheduler/testing.h"

namespace km::scheduler {
namespace {

using namespace testing;

class Oracle {
 public:
  explicit Oracle(unsigned seed) : random_(seed) {
    spread_ = makePodTopologySpread({}, {});
    spread_->slot = 0;
    affinity_ = makeInterPodAffinity({});
    affinity_->slot = 1;
  }

  void change() {
    switch (pick(8)) {
      case 0: {
        Node n = makeNode({.name = fmt::format("n{}", pick(6))});
        if (pick(5) != 0) n.metadata.labels["zone"] = fmt::format("z{}", pick(3));
        if (pick(4) == 0) n.metadata.labels["disk"] = "ssd";
        if (pick(4) == 0) {
          auto& t = n.spec.taints.add();
          t.key = "k";
          t.effect = "NoSchedule";
        }
        nodes_[n.metadata.name.str()] = std::make_shared<Node>(n);
        cluster_.setNode(nodes_[n.metadata.name.str()]);
        break;
      }
      case 1: {
        std::string name = fmt::format("n{}", pick(6));
        nodes_.erase(name);
        cluster_.removeNode(name);
        break;
      }
      case 2: {
        Labels labels;
        if (pick(2) == 0) labels["team"] = "x";
        std::string ns = fmt::format("ns{}", pick(2));
        namespaces_[ns] = labels;
        cluster_.setNamespace(ns, labels);
        break;
      }
      case 3: {
        std::string uid = fmt::format("uid-p{}", pick(30));
        pods_.erase(uid);
        cluster_.removePod(uid);
        break;
      }
      default: {
        Pod p = randomPod(fmt::format("p{}", pick(30)));
        p.spec.nodeName = fmt::format("n{}", pick(6));
        if (pick(6) == 0) p.metadata.deletionTimestamp = codec::Time(int64_t{1});
        pods_[p.metadata.uid.str()] = std::make_shared<Pod>(p);
        cluster_.setPod(pods_[p.metadata.uid.str()]);
      }
    }
  }

  void check() {
    auto pod = std::make_shared<Pod>(randomPod("new"));
    PodClassPtr cls = cluster_.classOf(*pod);
    Cycle c{cluster_, pod, *cls};
    for (Plugin* plugin : {spread_.get(), affinity_.get()}) {
      Prepared prepared = plugin->prepare(c);
      const auto& order = cluster_.nodes().order();
      ASSERT_EQ(order.size(), nodes_.size());
      std::vector<Refusal> refusals(order.size(), 0);
      if (!prepared.skip) plugin->filter(c, order, refusals.data());
      for (size_t i = 0; i < order.size(); i++) {
        const Node& node = *cluster_.nodes().row(order[i]).node;
        std::string why;
        std::vector<std::string> reasons;
        if (refusals[i] != 0) plugin->explain(c, refusals[i], reasons);
        if (!reasons.empty()) why = reasons[0];
        seen.insert(why);
        EXPECT_EQ(why, plugin == spread_.get() ? plainSpread(*pod, node) : plainAffinity(*pod, node))
            << node.metadata.name << "\n"
            << codec::toJson(*pod);
      }
    }
  }

  std::set<std::string> seen;  // reasons

 private:
  unsigned pick(unsigned n) { return std::uniform_int_distribution<unsigned>(0, n - 1)(random_); }

  Pod randomPod(const std::string& name) {
    Pod p = makePod(name, "", fmt::format("a{}", pick(3)));
    p.metadata.namespace_ = fmt::format("ns{}", pick(2));
    if (pick(3) == 0) p.spec.nodeSelector["disk"] = "ssd";
    if (pick(3) == 0) {
      auto& t = p.spec.tolerations.add();
      t.key = "k";
      t.operator_ = "Exists";
    }
    for (unsigned i = pick(3); i > 0; i--) {
      auto& c = p.spec.topologySpreadConstraints.add();
      c.maxSkew = 1 + static_cast<int>(pick(2));
      c.topologyKey = i == 1 ? "zone" : "kubernetes.io/hostname";
      c.whenUnsatisfiable = "DoNotSchedule";
      c.labelSelector = selects(fmt::format("a{}", pick(3)));
      if (pick(3) == 0) c.minDomains = 1 + static_cast<int>(pick(4));
      if (pick(3) == 0) c.nodeAffinityPolicy = codec::String(pick(2) == 0 ? "Honor" : "Ignore");
      if (pick(3) == 0) c.nodeTaintsPolicy = codec::String(pick(2) == 0 ? "Honor" : "Ignore");
    }
    for (bool away : {false, true}) {
      for (unsigned i = pick(4) == 0 ? 1 + pick(2) : 0; i > 0; i--) {
        auto& a = p.spec.affinity.ensure();
        auto& t = away ? a.podAntiAffinity.ensure().requiredDuringSchedulingIgnoredDuringExecution.add()
                       : a.podAffinity.ensure().requiredDuringSchedulingIgnoredDuringExecution.add();
        t.topologyKey = pick(2) == 0 ? "zone" : "kubernetes.io/hostname";
        t.labelSelector = selects(fmt::format("a{}", pick(3)));
        if (pick(3) == 0) t.namespaces.push_back(fmt::format("ns{}", pick(2)));
        if (pick(3) == 0) t.namespaceSelector.emplace().matchLabels["team"] = "x";
      }
    }
    return p;
  }

  const Node* nodeOf(const Pod& p) const {
    auto it = nodes_.find(p.spec.nodeName.str());
    return it == nodes_.end() ? nullptr : it->second.get();
  }

  std::string plainSpread(const Pod& pod, const Node& node) const {
    const auto& constraints = pod.spec.topologySpreadConstraints;
    for (const auto& c : constraints) {
      if (!node.metadata.labels.contains(c.topologyKey)) {
        return "node(s) didn't match pod topology spread constraints (missing required label)";
      }
      auto selector = selectorOf(c.labelSelector);
      std::map<std::string, int> places;
      for (const auto& [name, n] : nodes_) {
        bool counts = std::all_of(constraints.begin(), constraints.end(),
                                  [&](const auto& k) { return n->metadata.labels.contains(k.topologyKey); });
        if (!c.nodeAffinityPolicy || *c.nodeAffinityPolicy == "Honor")
          counts = counts && acceptsNode(pod, *n);
        if (c.nodeTaintsPolicy && *c.nodeTaintsPolicy == "Honor")
          counts = counts && toleratesAll(pod, n->spec.taints);
        if (!counts) continue;
        int& place = places[n->metadata.labels.get(c.topologyKey).str()];
        for (const auto& [uid, p] : pods_) {
          place += p->spec.nodeName == name && p->metadata.namespace_ == pod.metadata.namespace_ &&
                   !p->metadata.deletionTimestamp && selector.matches(p->metadata.labels);
        }
      }
      int least = INT_MAX;
      for (const auto& [value, n] : places) least = std::min(least, n);
      if (static_cast<int>(places.size()) < c.minDomains.value_or(1)) least = 0;
      auto here = places.find(node.metadata.labels.get(c.topologyKey).str());
      int64_t skew =
          (here == places.end() ? 0 : here->second) + selector.matches(pod.metadata.labels) - int64_t{least};
      if (skew > c.maxSkew) return "node(s) didn't match pod topology spread constraints";
    }
    return "";
  }

  bool matches(const Term& t, const Pod& p) const {
    return t.pods.matches(p.metadata.namespace_, p.metadata.labels, namespaces_);
  }
  static bool samePlace(const Node& a, const Node& b, const std::string& key) {
    const auto *x = a.metadata.labels.find(key), *y = b.metadata.labels.find(key);
    return x != nullptr && y != nullptr && *x == *y;
  }

  std::string plainAffinity(const Pod& pod, const Node& node) const {
    AffinityTerms terms = affinityTermsOf(pod);
    auto all = [&](const Pod& p) {
      return std::all_of(terms.required.begin(), terms.required.end(),
                         [&](const Term& t) { return matches(t, p); });
    };
    bool near = true, anywhere = false;
    for (const Term& t : terms.required) {
      if (!node.metadata.labels.contains(t.topologyKey)) return "node(s) didn't match pod affinity rules";
      bool found = false;
      for (const auto& [uid, p] : pods_) {
        const Node* n = nodeOf(*p);
        if (n == nullptr || !all(*p)) continue;
        found = found || samePlace(*n, node, t.topologyKey);
        anywhere = anywhere || n->metadata.labels.contains(t.topologyKey);
      }
      near = near && found;
    }
    if (!near && (anywhere || !all(pod))) return "node(s) didn't match pod affinity rules";
    for (const auto& [uid, p] : pods_) {
      const Node* n = nodeOf(*p);
      for (const Term& t : terms.anti) {
        if (n != nullptr && matches(t, *p) && samePlace(*n, node, t.topologyKey)) {
          return "node(s) didn't match pod anti-affinity rules";
        }
      }
    }
    for (const auto& [uid, p] : pods_) {
      const Node* n = nodeOf(*p);
      for (const Term& t : affinityTermsOf(*p).anti) {
        if (n != nullptr && matches(t, pod) && samePlace(*n, node, t.topologyKey)) {
          return "node(s) didn't satisfy existing pods anti-affinity rules";
        }
      }
    }
    return "";
  }

  std::mt19937 random_;
  Cluster cluster_;
  std::map<std::string, NodePtr> nodes_;
  std::map<std::string, PodPtr> pods_;
  Namespaces namespaces_;
  std::unique_ptr<Plugin> spread_, affinity_;
};

TEST(Oracle, CountsAndPlainRulesAgree) {
  std::set<std::string> seen;
  for (unsigned seed = 0; seed < 20; seed++) {
    SCOPED_TRACE(seed);
    Oracle o(seed);
    for (int i = 0; i < 200 && !::testing::Test::HasFailure(); i++) {
      for (int k = 0; k < 3; k++) o.change();
      o.check();
    }
    seen.merge(o.seen);
  }
  EXPECT_EQ(seen.size(), 6u);  // every reason, and none
}

}  // namespace
}  // namespace km::scheduler
