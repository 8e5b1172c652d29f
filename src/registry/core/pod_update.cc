// What may change in a pod that exists.
#include <fmt/format.h>

#include <algorithm>

#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"
#include "base/strings.h"
#include "codec/ops.h"
#include "registry/core/pod_parts.h"
#include "registry/core/pod_validation.h"
#include "registry/go_json.h"
#include "registry/ip.h"
#include "registry/workload_rules.h"

namespace km::registry {

namespace v1 = api::core_v1;

// pod_validation.cc
void validatePodAnnotationRules(const v1::Pod& pod, FieldErrors& errors);

namespace {

bool isArmor(std::string_view key) {
  return key.starts_with("container.apparmor.security.beta.kubernetes.io/");
}
bool isMirror(std::string_view key) {
  return key == "kubernetes.io/config.mirror";
}

}  // namespace

void validatePodAnnotationUpdates(const v1::Pod& pod, const v1::Pod& old, FieldErrors& errors) {
  Path p("metadata.annotations");
  const auto& now = pod.metadata.annotations;
  const auto& was = old.metadata.annotations;
  for (const auto& [key, value] : was) {
    const codec::String* v = now.find(key);
    if (v != nullptr && *v == value) continue;
    if (isArmor(key)) errors.forbidden(p.key(key), "may not remove or update AppArmor annotations");
    if (isMirror(key)) errors.forbidden(p.key(key), "may not remove or update mirror pod annotation");
  }
  for (const auto& [key, value] : now) {
    if (was.contains(key)) continue;
    if (isArmor(key)) errors.forbidden(p.key(key), "may not add AppArmor annotations");
    if (isMirror(key)) errors.forbidden(p.key(key), "may not add mirror pod annotation");
  }
  validatePodAnnotationRules(pod, errors);
}

namespace {

// False if nothing more can be compared.
bool validateContainerUpdates(const codec::List<v1::Container>& now, const codec::List<v1::Container>& was,
                              const Path& p, FieldErrors& errors) {
  if (now.size() != was.size()) {
    errors.forbidden(p, "pod updates may not add or remove containers");
    return false;
  }
  for (size_t i = 0; i < now.size(); i++) {
    if (now[i].image.empty()) errors.required(p.index(i).child("image"), "");
    if (trimSpace(now[i].image).size() != now[i].image.size()) {
      errors.invalid(p.index(i).child("image"), now[i].image.view(),
                     "must not have leading or trailing whitespace");
    }
  }
  return true;
}

void validateDeadline(const v1::PodSpec& now, const v1::PodSpec& was, FieldErrors& errors) {
  Path p("spec.activeDeadlineSeconds");
  if (!now.activeDeadlineSeconds) {
    if (was.activeDeadlineSeconds) {
      errors.invalid(p, BadValue::raw("null"), "must not update from a positive integer to nil value");
    }
    return;
  }
  int64_t value = *now.activeDeadlineSeconds;
  if (value < 0 || value > INT32_MAX) errors.invalid(p, value, rangeText(0, INT32_MAX));
  if (was.activeDeadlineSeconds && *was.activeDeadlineSeconds < value) {
    errors.invalid(p, value, "must be less than or equal to previous value");
  }
}

void validateTolerationUpdates(const v1::PodSpec& now, const v1::PodSpec& was, FieldErrors& errors) {
  Path p("spec.tolerations");
  for (const auto& old : was.tolerations) {
    bool found = false;
    for (const auto& t : now.tolerations) {
      found = found || (t.key == old.key && t.operator_ == old.operator_ && t.value == old.value &&
                        t.effect == old.effect);
    }
    if (!found) errors.forbidden(p, "existing toleration can not be modified except its tolerationSeconds");
  }
  validateTolerations(now.tolerations, p, errors);
}

void validateGateUpdates(const v1::PodSpec& now, const v1::PodSpec& was, FieldErrors& errors) {
  for (size_t i = 0; i < now.schedulingGates.size(); i++) {
    const auto& name = now.schedulingGates[i].name;
    bool known = false;
    for (const auto& g : was.schedulingGates) known = known || g.name == name;
    if (!known) {
      errors.forbidden(Path("spec.schedulingGates").index(i).child("name"),
                       fmt::format("only deletion is allowed, but found new scheduling gate '{}'", name));
    }
  }
}

// While a pod is gated its node selector and node affinity may only become narrower.
void validateNarrower(const v1::PodSpec& now, const v1::PodSpec& was, FieldErrors& errors) {
  if (!(now.nodeSelector == was.nodeSelector)) {
    bool only = true;
    for (const auto& [key, value] : was.nodeSelector)
      only = only && now.nodeSelector.get(key) == value && now.nodeSelector.contains(key);
    if (!only) {
      errors.invalid(Path("spec.nodeSelector"), labelsValue(now.nodeSelector),
                     "only additions to spec.nodeSelector are allowed (no mutations or deletions)");
    }
  }
  const v1::NodeSelector* a =
      now.affinity && now.affinity->nodeAffinity
          ? now.affinity->nodeAffinity->requiredDuringSchedulingIgnoredDuringExecution.get()
          : nullptr;
  const v1::NodeSelector* b =
      was.affinity && was.affinity->nodeAffinity
          ? was.affinity->nodeAffinity->requiredDuringSchedulingIgnoredDuringExecution.get()
          : nullptr;
  if (b == nullptr || b->nodeSelectorTerms.empty()) return;
  Path p("spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms");
  if (a == nullptr || a->nodeSelectorTerms.size() != b->nodeSelectorTerms.size()) {
    std::string terms;
    for (size_t i = 0; a != nullptr && i < a->nodeSelectorTerms.size(); i++) {
      terms += (terms.empty() ? "[" : ",") + goJson(&a->nodeSelectorTerms[i], v1::NodeSelectorTerm::kType);
    }
    return errors.invalid(p, BadValue::raw(terms.empty() ? "null" : terms + "]"),
                          "no additions/deletions to non-empty NodeSelectorTerms list are allowed");
  }
  for (size_t i = 0; i < a->nodeSelectorTerms.size(); i++) {
    const auto& x = a->nodeSelectorTerms[i];
    const auto& y = b->nodeSelectorTerms[i];
    bool emptied = y.matchExpressions.empty() && y.matchFields.empty() &&
                   !(x.matchExpressions.empty() && x.matchFields.empty());
    auto prefix = [](const auto& longer, const auto& shorter) {
      if (longer.size() < shorter.size()) return false;
      for (size_t k = 0; k < shorter.size(); k++) {
        if (!codec::equal(&longer[k], &shorter[k], v1::NodeSelectorRequirement::kType)) return false;
      }
      return true;
    };
    if (emptied || !prefix(x.matchExpressions, y.matchExpressions) || !prefix(x.matchFields, y.matchFields)) {
      errors.invalid(p.index(i), structValue(x), "only additions are allowed (no mutations or deletions)");
    }
  }
}

// The new spec with all that may change as it was.
v1::PodSpec munged(const v1::PodSpec& now, const v1::PodSpec& was) {
  v1::PodSpec s = now;
  for (size_t i = 0; i < s.containers.size(); i++) s.containers[i].image = was.containers[i].image;
  for (size_t i = 0; i < s.initContainers.size(); i++)
    s.initContainers[i].image = was.initContainers[i].image;
  s.activeDeadlineSeconds = was.activeDeadlineSeconds;
  s.schedulingGates = was.schedulingGates;
  s.tolerations = was.tolerations;
  if (was.terminationGracePeriodSeconds.value_or(0) < 0 && s.terminationGracePeriodSeconds.value_or(0) == 1) {
    s.terminationGracePeriodSeconds = was.terminationGracePeriodSeconds;
  }
  if (was.schedulingGates.empty()) return s;
  s.nodeSelector = was.nodeSelector;
  codec::Box<v1::NodeAffinity> node;
  if (was.affinity) node = was.affinity->nodeAffinity;
  if (s.affinity || node) s.affinity.ensure().nodeAffinity = node;
  if (!was.affinity && s.affinity && !s.affinity->podAffinity && !s.affinity->podAntiAffinity && !node)
    s.affinity.reset();
  return s;
}

}  // namespace

void validatePodUpdate(const v1::Pod& pod, const v1::Pod& old, FieldErrors& errors) {
  validatePodAndSpecForUpdate(pod, errors);
  validatePodAnnotationUpdates(pod, old, errors);
  Path p("spec");
  if (!validateContainerUpdates(pod.spec.containers, old.spec.containers, p.child("containers"), errors))
    return;
  if (!validateContainerUpdates(pod.spec.initContainers, old.spec.initContainers, p.child("initContainers"),
                                errors))
    return;
  validateDeadline(pod.spec, old.spec, errors);
  validateTolerationUpdates(pod.spec, old.spec, errors);
  validateGateUpdates(pod.spec, old.spec, errors);
  if (codec::equal(&pod.spec, &old.spec, v1::PodSpec::kType)) return;
  if (!old.spec.schedulingGates.empty()) validateNarrower(pod.spec, old.spec, errors);
  v1::PodSpec rest = munged(pod.spec, old.spec);
  if (codec::equal(&rest, &old.spec, v1::PodSpec::kType)) return;
  errors.forbidden(
      p,
      "pod updates may not change fields other than "
      "`spec.containers[*].image`,`spec.initContainers[*].image`,"
      "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
      "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n" +
          goDiff(old.spec, rest));
}

namespace {

// A container that has ended for good does not start again.
void validateTransitions(const codec::List<v1::ContainerStatus>& now,
                         const codec::List<v1::ContainerStatus>& was, std::string_view restartPolicy,
                         const Path& p, FieldErrors& errors) {
  if (restartPolicy == "Always") return;
  for (const auto& old : was) {
    if (!old.state.terminated) continue;
    if (old.state.terminated->exitCode != 0 && restartPolicy == "OnFailure") continue;
    for (size_t i = 0; i < now.size(); i++) {
      if (now[i].name == old.name && !now[i].state.terminated) {
        errors.forbidden(p.index(i).child("state"), "may not be transitioned to non-terminated state");
        break;
      }
    }
  }
}

template <typename List>
void validateIps(const List& list, const List& was, const Path& p, FieldErrors& errors) {
  std::vector<std::string> known;
  for (const auto& ip : was) known.push_back(ip.ip.str());
  bool four = false, six = false;
  for (size_t i = 0; i < list.size(); i++) {
    validateLegacyIp(p.index(i), list[i].ip, errors, known);
    if (auto ip = Ip::parseSloppy(list[i].ip)) (ip->is4() ? four : six) = true;
  }
  if (list.size() < 2) return;
  for (size_t i = 0; i < list.size(); i++) {
    if (Ip::parseSloppy(list[i].ip)) continue;
    errors.internal(
        p, fmt::format("failed to check for dual stack with error:invalid IP[{}]: {}", i, list[i].ip));
    four = six = false;
    break;
  }
  if (!four || !six || list.size() > 2) {
    std::string shown = "[";
    for (const auto& ip : list)
      shown += (shown.size() > 1 ? "," : "") + fmt::format("{{\"IP\":{}}}", api::goQuote(ip.ip));
    errors.invalid(p, BadValue::raw(shown + "]"), "may specify no more than one IP for each IP family");
  }
}

}  // namespace

void validatePodStatusUpdate(const v1::Pod& pod, const v1::Pod& old, FieldErrors& errors) {
  validatePodAnnotationUpdates(pod, old, errors);
  Path p("status");
  const auto& s = pod.status;
  for (size_t i = 0; i < s.conditions.size(); i++) {
    const auto& c = s.conditions[i];
    Path at = p.child("conditions").index(i);
    if (c.observedGeneration < 0)
      errors.invalid(at.child("observedGeneration"), c.observedGeneration, "must be a non-negative integer");
    if (!isIn(c.type, {"PodScheduled", "Ready", "Initialized"}))
      qualifiedName(c.type, at.child("Type"), errors);
  }
  Path nominated = p.child("nominatedNodeName");
  if (!(s.nominatedNodeName == old.status.nominatedNodeName) && !s.nominatedNodeName.empty()) {
    dnsSubdomain(s.nominatedNodeName, nominated, errors);
    if (!old.spec.nodeName.empty())
      errors.forbidden(nominated, "may not be set on pods that are already bound to a node");
  }
  if (s.observedGeneration < 0) {
    errors.invalid(p.child("observedGeneration"), s.observedGeneration, "must be a non-negative integer");
  }
  immutable(s.qosClass == old.status.qosClass, p.child("qosClass"), s.qosClass.view(), errors);
  validateTransitions(s.containerStatuses, old.status.containerStatuses, old.spec.restartPolicy,
                      p.child("containerStatuses"), errors);
  validateIps(s.podIPs, old.status.podIPs, p.child("podIPs"), errors);
  if (!s.hostIPs.empty()) {
    if (!(s.hostIP == s.hostIPs[0].ip)) {
      errors.invalid(p.child("hostIPs").index(0).child("ip"), s.hostIPs[0].ip.view(),
                     "must be equal to `hostIP`");
    }
    validateIps(s.hostIPs, old.status.hostIPs, p.child("hostIPs"), errors);
  }
}

}  // namespace km::registry
