// Terms: rules about other pods - which pods of which namespaces, and the label whose values make the places.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/selector.h"
#include "api/types/core_v1.h"

namespace km::scheduler {

using Labels = codec::Map<codec::String>;
// Namespaces with their labels, by name.
using Namespaces = std::map<std::string, Labels, std::less<>>;

// Which pods a rule speaks of.
struct PodSelection {
  std::vector<std::string> namespaces;                  // sorted
  std::optional<api::LabelSelector> namespaceSelector;  // further namespaces, by their labels; absent: none
  api::LabelSelector selector;

  bool matches(std::string_view ns, const Labels& labels, const Namespaces& all) const;
  std::string key() const;  // equal for equal selections
};

struct Term {
  PodSelection pods;
  std::string topologyKey;
  std::string key() const { return topologyKey + '\n' + pods.key(); }
};

struct WeightedTerm {
  Term term;
  int32_t weight = 0;
};

// A pod's affinity terms; `ns`: the namespace of the pod that has them.
Term termOf(const api::core_v1::PodAffinityTerm& t, std::string_view ns);

struct AffinityTerms {
  std::vector<Term> required, anti;
  std::vector<WeightedTerm> preferred, preferredAnti;
  bool any() const {
    return !required.empty() || !anti.empty() || !preferred.empty() || !preferredAnti.empty();
  }
};
AffinityTerms affinityTermsOf(const api::core_v1::Pod& pod);

// metav1.LabelSelectorAsSelector for a selector that the API server has validated; null matches nothing.
api::LabelSelector selectorOf(const codec::Box<api::meta_v1::LabelSelector>& selector);

}  // namespace km::scheduler
