#include "scheduler/terms.h"

#include <algorithm>

namespace km::scheduler {

api::LabelSelector selectorOf(const codec::Box<api::meta_v1::LabelSelector>& selector) {
  if (!selector) return api::LabelSelector::nothing();
  auto s = api::LabelSelector::from(*selector);
  return s.ok() ? std::move(*s) : api::LabelSelector::nothing();
}

bool PodSelection::matches(std::string_view ns, const Labels& labels, const Namespaces& all) const {
  bool here = std::binary_search(namespaces.begin(), namespaces.end(), ns);
  if (!here && namespaceSelector) {
    static const Labels kNone;
    auto it = all.find(ns);
    here = namespaceSelector->matches(it == all.end() ? kNone : it->second);
  }
  return here && selector.matches(labels);
}

std::string PodSelection::key() const {
  std::string out;
  for (const auto& ns : namespaces) out.append(ns).push_back(',');
  out.push_back('\n');
  if (namespaceSelector) out.append("*").append(namespaceSelector->str());
  out.push_back('\n');
  // The empty selector and the one that matches nothing print alike.
  out.append(selector.empty() ? "all" : selector.requirements().empty() ? "none" : selector.str());
  return out;
}

Term termOf(const api::core_v1::PodAffinityTerm& t, std::string_view ns) {
  Term out;
  out.topologyKey = t.topologyKey.str();
  out.pods.selector = selectorOf(t.labelSelector);
  for (const auto& n : t.namespaces) out.pods.namespaces.push_back(n.str());
  if (t.namespaces.empty() && !t.namespaceSelector) out.pods.namespaces.emplace_back(ns);
  std::sort(out.pods.namespaces.begin(), out.pods.namespaces.end());
  if (t.namespaceSelector) out.pods.namespaceSelector = selectorOf(t.namespaceSelector);
  return out;
}

AffinityTerms affinityTermsOf(const api::core_v1::Pod& pod) {
  AffinityTerms out;
  if (!pod.spec.affinity) return out;
  const auto& ns = pod.metadata.namespace_;
  auto take = [&](const auto& a, auto& required, auto& preferred) {
    if (!a) return;
    for (const auto& t : a->requiredDuringSchedulingIgnoredDuringExecution) required.push_back(termOf(t, ns));
    for (const auto& w : a->preferredDuringSchedulingIgnoredDuringExecution) {
      preferred.push_back({termOf(w.podAffinityTerm, ns), w.weight});
    }
  };
  take(pod.spec.affinity->podAffinity, out.required, out.preferred);
  take(pod.spec.affinity->podAntiAffinity, out.anti, out.preferredAnti);
  return out;
}

}  // namespace km::scheduler
