// Affinity, tolerations and topology spread.
#include <fmt/format.h>

#include <algorithm>

#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"
#include "registry/cells.h"
#include "registry/core/pod_parts.h"

namespace km::registry {

namespace v1 = api::core_v1;
using Selector = codec::Box<api::meta_v1::LabelSelector>;

namespace {

void validateRequirement(const v1::NodeSelectorRequirement& r, bool lenient, const Path& p, FieldErrors& errors) {
  Path values = p.child("values");
  if (isIn(r.operator_, {"In", "NotIn"})) {
    if (r.values.empty()) errors.required(values, "must be specified when `operator` is 'In' or 'NotIn'");
  } else if (isIn(r.operator_, {"Exists", "DoesNotExist"})) {
    if (!r.values.empty()) errors.forbidden(values, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
  } else if (isIn(r.operator_, {"Gt", "Lt"})) {
    if (r.values.size() != 1) errors.required(values, "must be specified single value when `operator` is 'Lt' or 'Gt'");
  } else {
    errors.invalid(p.child("operator"), r.operator_.view(), "not a valid selector operator");
  }
  labelName(r.key, p.child("key"), errors);
  if (lenient) return;
  for (size_t i = 0; i < r.values.size(); i++) errors.each(values.index(i), r.values[i].view(), api::isValidLabelValue(r.values[i]));
}

void validateFieldRequirement(const v1::NodeSelectorRequirement& r, const Path& p, FieldErrors& errors) {
  if (!isIn(r.operator_, {"In", "NotIn"})) {
    errors.invalid(p.child("operator"), r.operator_.view(), "not a valid selector operator");
  } else if (r.values.size() != 1) {
    errors.required(p.child("values"), "must be only one value when `operator` is 'In' or 'NotIn' for node field selector");
  }
  if (r.key != "metadata.name") return errors.invalid(p.child("key"), r.key.view(), "not a valid field selector key");
  for (size_t i = 0; i < r.values.size(); i++) dnsSubdomain(r.values[i], p.child("values").index(i), errors);
}

void validateLabelKeys(const codec::List<codec::String>& keys, const Selector& selector, const Path& p, FieldErrors& errors) {
  if (keys.empty()) return;
  if (!selector) return errors.forbidden(p, "must not be specified when labelSelector is not set");
  for (size_t i = 0; i < keys.size(); i++) labelName(keys[i], p.index(i), errors);
}

void validateMatchKeys(const codec::List<codec::String>& match, const codec::List<codec::String>& mismatch,
                       const Selector& selector, const Path& p, FieldErrors& errors) {
  validateLabelKeys(match, selector, p.child("matchLabelKeys"), errors);
  validateLabelKeys(mismatch, selector, p.child("mismatchLabelKeys"), errors);
  if (selector) {
    std::set<std::string_view> seen;
    for (const auto& [key, value] : selector->matchLabels) seen.insert(key.view());
    for (const auto& e : selector->matchExpressions) {
      for (size_t i = match.size(); i-- > 0;) {
        if (!(match[i] == e.key) || !seen.count(e.key.view())) continue;
        errors.invalid(p.index(i), e.key.view(), "exists in both matchLabelKeys and labelSelector");
        break;
      }
      seen.insert(e.key.view());
    }
  }
  for (size_t i = 0; i < match.size(); i++) {
    if (std::find(mismatch.begin(), mismatch.end(), match[i]) != mismatch.end()) {
      errors.invalid(p.child("matchLabelKeys").index(i), match[i].view(), "exists in both matchLabelKeys and mismatchLabelKeys");
    }
  }
}

void validateTerm(const v1::PodAffinityTerm& t, const Path& p, FieldErrors& errors) {
  if (t.labelSelector) validateLabelSelector(*t.labelSelector, p.child("labelSelector"), errors);
  if (t.namespaceSelector) validateLabelSelector(*t.namespaceSelector, p.child("namespaceSelector"), errors);
  for (const auto& ns : t.namespaces) errors.each(p.child("namespace"), ns.view(), api::isDns1123Label(ns));
  validateMatchKeys(t.matchLabelKeys, t.mismatchLabelKeys, t.labelSelector, p, errors);
  if (t.topologyKey.empty()) errors.required(p.child("topologyKey"), "can not be empty");
  labelName(t.topologyKey, p.child("topologyKey"), errors);
}

void validateWeight(int32_t weight, const Path& p, FieldErrors& errors) {
  if (weight <= 0 || weight > 100) errors.invalid(p.child("weight"), weight, "must be in the range 1-100");
}

template <typename A>
void validatePodSide(const A& a, const Path& p, FieldErrors& errors) {
  const auto& required = a.requiredDuringSchedulingIgnoredDuringExecution;
  const auto& preferred = a.preferredDuringSchedulingIgnoredDuringExecution;
  for (size_t i = 0; i < required.size(); i++) {
    validateTerm(required[i], p.child("requiredDuringSchedulingIgnoredDuringExecution").index(i), errors);
  }
  for (size_t i = 0; i < preferred.size(); i++) {
    Path at = p.child("preferredDuringSchedulingIgnoredDuringExecution").index(i);
    validateWeight(preferred[i].weight, at, errors);
    validateTerm(preferred[i].podAffinityTerm, at.child("podAffinityTerm"), errors);
  }
}

}  // namespace

void validateNodeSelectorTerm(const v1::NodeSelectorTerm& t, bool lenient, const Path& p, FieldErrors& errors) {
  for (size_t i = 0; i < t.matchExpressions.size(); i++) {
    validateRequirement(t.matchExpressions[i], lenient, p.child("matchExpressions").index(i), errors);
  }
  for (size_t i = 0; i < t.matchFields.size(); i++) {
    validateFieldRequirement(t.matchFields[i], p.child("matchFields").index(i), errors);
  }
}

void validateNodeSelector(const v1::NodeSelector& s, const Path& p, FieldErrors& errors) {
  Path terms = p.child("nodeSelectorTerms");
  if (s.nodeSelectorTerms.empty()) return errors.required(terms, "must have at least one node selector term");
  for (size_t i = 0; i < s.nodeSelectorTerms.size(); i++) {
    validateNodeSelectorTerm(s.nodeSelectorTerms[i], false, terms.index(i), errors);
  }
}

void validateAffinity(const v1::Affinity& a, const Path& p, FieldErrors& errors) {
  if (a.nodeAffinity) {
    Path node = p.child("nodeAffinity");
    const auto& required = a.nodeAffinity->requiredDuringSchedulingIgnoredDuringExecution;
    if (required) validateNodeSelector(*required, node.child("requiredDuringSchedulingIgnoredDuringExecution"), errors);
    const auto& preferred = a.nodeAffinity->preferredDuringSchedulingIgnoredDuringExecution;
    for (size_t i = 0; i < preferred.size(); i++) {
      Path at = node.child("preferredDuringSchedulingIgnoredDuringExecution").index(i);
      validateWeight(preferred[i].weight, at, errors);
      validateNodeSelectorTerm(preferred[i].preference, true, at.child("preference"), errors);
    }
  }
  if (a.podAffinity) validatePodSide(*a.podAffinity, p.child("podAffinity"), errors);
  if (a.podAntiAffinity) validatePodSide(*a.podAntiAffinity, p.child("podAntiAffinity"), errors);
}

void validateTolerations(const codec::List<v1::Toleration>& list, const Path& p, FieldErrors& errors) {
  for (size_t i = 0; i < list.size(); i++) {
    const auto& t = list[i];
    Path at = p.index(i);
    Path op = at.child("operator");
    if (!t.key.empty()) labelName(t.key, at.child("key"), errors);
    if (t.key.empty() && t.operator_ != "Exists") {
      errors.invalid(op, t.operator_.view(), "operator must be Exists when `key` is empty, which means \"match all values and all keys\"");
    }
    if (t.tolerationSeconds && t.effect != "NoExecute") {
      errors.invalid(at.child("effect"), t.effect.view(), "effect must be 'NoExecute' when `tolerationSeconds` is set");
    }
    if (isIn(t.operator_, {"Equal", ""})) {
      auto bad = api::isValidLabelValue(t.value);
      if (!bad.empty()) errors.invalid(op, t.value.view(), joined(bad, ";"));
    } else if (t.operator_ == "Exists") {
      if (!t.value.empty()) errors.invalid(op, t.value.view(), "value must be empty when `operator` is 'Exists'");
    } else if (isIn(t.operator_, {"Lt", "Gt"})) {
      errors.notSupported(op, t.operator_.view(), {"Equal", "Exists", "Lt", "Gt"});
    } else {
      errors.notSupported(op, t.operator_.view(), {"Equal", "Exists"});
    }
    if (!t.effect.empty()) oneOf(t.effect, {"NoSchedule", "PreferNoSchedule", "NoExecute"}, at.child("effect"), errors);
  }
}

void validateTopologySpread(const codec::List<v1::TopologySpreadConstraint>& list, const Path& p, FieldErrors& errors) {
  for (size_t i = 0; i < list.size(); i++) {
    const auto& c = list[i];
    Path at = p.index(i);
    positive(c.maxSkew, at.child("maxSkew"), errors);
    if (c.topologyKey.empty()) errors.required(at.child("topologyKey"), "can not be empty");
    if (!isIn(c.whenUnsatisfiable, {"DoNotSchedule", "ScheduleAnyway"})) {
      errors.notSupported(at.child("whenUnsatisfiable"), c.whenUnsatisfiable.view(), {"DoNotSchedule", "ScheduleAnyway"});
    }
    for (size_t k = i + 1; k < list.size(); k++) {
      if (list[k].topologyKey == c.topologyKey && list[k].whenUnsatisfiable == c.whenUnsatisfiable) {
        errors.duplicate(at.child("{topologyKey, whenUnsatisfiable}"), fmt::format("{{{}, {}}}", c.topologyKey, c.whenUnsatisfiable));
        break;
      }
    }
    if (c.minDomains) {
      positive(*c.minDomains, at.child("minDomains"), errors);
      if (c.whenUnsatisfiable != "DoNotSchedule") {
        errors.invalid(at.child("minDomains"), *c.minDomains,
                       fmt::format("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {}", c.whenUnsatisfiable));
      }
    }
    auto inclusion = [&](const std::optional<codec::String>& policy, std::string_view field) {
      if (policy && !isIn(*policy, {"Honor", "Ignore"})) errors.notSupported(at.child(field), policy->view(), {"Honor", "Ignore"});
    };
    inclusion(c.nodeAffinityPolicy, "nodeAffinityPolicy");
    inclusion(c.nodeTaintsPolicy, "nodeTaintsPolicy");
    validateMatchKeys(c.matchLabelKeys, {}, c.labelSelector, at, errors);
    if (c.labelSelector) validateLabelSelector(*c.labelSelector, at.child("labelSelector"), errors);
  }
}

}  // namespace km::registry
