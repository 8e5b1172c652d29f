// Pods under a quota.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>

#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"
#include "resources/evaluators.h"
#include "resources/pod.h"

namespace km::resources {

namespace v1 = api::core_v1;

namespace {

constexpr std::string_view kRequests = "requests.", kDeviceClass = "deviceclass.resource.kubernetes.io/";

bool isHugePages(std::string_view name) { return name.starts_with("hugepages-"); }

// "requests.vendor/device".
bool isExtendedInQuota(std::string_view name) {
  if (!name.starts_with(kRequests)) return false;
  return !isNativeResource(name) || name.substr(kRequests.size()).starts_with(kDeviceClass);
}

// What a quota counts for what is asked for.
ResourceList charged(const ResourceList& requests, const ResourceList& limits) {
  ResourceList out;
  out["pods"] = one();
  for (const auto& [name, q] : requests) {
    bool compute = name == "cpu" || name == "memory" || name == "ephemeral-storage";
    if (compute || isHugePages(name)) out[name] = q;
    if (compute || isHugePages(name) || isExtendedResource(name) || name.view().starts_with(kDeviceClass)) {
      out[fmt::format("{}{}", kRequests, name)] = q;
    }
  }
  for (const auto& [name, q] : limits) {
    if (name == "cpu" || name == "memory" || name == "ephemeral-storage") out[fmt::format("limits.{}", name)] = q;
  }
  return out;
}

bool isTerminating(const v1::Pod& pod) { return pod.spec.activeDeadlineSeconds && *pod.spec.activeDeadlineSeconds >= 0; }

// Neither ended nor stuck beyond the end of its grace period.
bool counts(const v1::Pod& pod, WallTime now) {
  if (pod.status.phase == "Failed" || pod.status.phase == "Succeeded") return false;
  const auto& m = pod.metadata;
  if (!m.deletionTimestamp || !m.deletionGracePeriodSeconds) return true;
  return now.seconds <= m.deletionTimestamp->seconds + *m.deletionGracePeriodSeconds;
}

bool crosses(const v1::PodAffinityTerm& t) { return !t.namespaces.empty() || t.namespaceSelector; }

template <typename Affinity>
bool crosses(const Affinity& a) {
  return std::any_of(a.requiredDuringSchedulingIgnoredDuringExecution.begin(), a.requiredDuringSchedulingIgnoredDuringExecution.end(),
                     [](const v1::PodAffinityTerm& t) { return crosses(t); }) ||
         std::any_of(a.preferredDuringSchedulingIgnoredDuringExecution.begin(), a.preferredDuringSchedulingIgnoredDuringExecution.end(),
                     [](const v1::WeightedPodAffinityTerm& t) { return crosses(t.podAffinityTerm); });
}

bool hasCrossNamespaceAffinity(const v1::Pod& pod) {
  if (!pod.spec.affinity) return false;
  const auto& a = *pod.spec.affinity;
  return (a.podAffinity && crosses(*a.podAffinity)) || (a.podAntiAffinity && crosses(*a.podAntiAffinity));
}

class Pods : public Evaluator {
 public:
  Names matching(const Names& names) const override {
    static const Names kKnown = {"count/pods", "cpu", "memory", "ephemeral-storage", "requests.cpu", "requests.memory",
                                 "requests.ephemeral-storage", "limits.cpu", "limits.memory", "limits.ephemeral-storage", "pods"};
    Names out = among(names, kKnown);
    for (const std::string& n : names) {
      if (isHugePages(n) || n.starts_with("requests.hugepages-") || isExtendedInQuota(n)) out.push_back(n);
    }
    return out;
  }

  ResourceList usage(const api::Object& o, WallTime now) const override {
    const auto& pod = o.as<v1::Pod>();
    ResourceList out;
    if (counts(pod, now)) out = charged(podRequests(pod), podLimits(pod));
    out["count/pods"] = one();
    return out;
  }

  bool concerns(std::string_view subresource, const api::Object& o, const api::Object* old) const override {
    if (subresource == "resize") return old != nullptr;
    if (!subresource.empty()) return false;
    return old == nullptr || isTerminating(o.as<v1::Pod>()) != isTerminating(old->as<v1::Pod>());
  }

  bool inScope(const v1::ScopedResourceSelectorRequirement& scope, const api::Object& o) const override {
    const auto& pod = o.as<v1::Pod>();
    std::string_view name = scope.scopeName;
    if (name == "Terminating") return isTerminating(pod);
    if (name == "NotTerminating") return !isTerminating(pod);
    if (name == "BestEffort") return qosClass(pod.spec) == "BestEffort";
    if (name == "NotBestEffort") return qosClass(pod.spec) != "BestEffort";
    if (name == "PriorityClass") return selects(scope, pod.spec.priorityClassName);
    return name == "CrossNamespacePodAffinity" && hasCrossNamespaceAffinity(pod);
  }

  // Every container says how much it needs of what is limited.
  std::string lacks(const Names& limited, const api::Object& o) const override {
    static const Names kMustSay = {"cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"};
    const auto& spec = o.as<v1::Pod>().spec;
    if (hasPodLevelResources(spec)) return "";
    Names required = among(limited, kMustSay);
    std::map<std::string, std::set<std::string>> missing;
    for (const auto* list : {&spec.containers, &spec.initContainers}) {
      for (const v1::Container& c : *list) {
        ResourceList said = charged(c.resources.requests, c.resources.limits);
        for (const std::string& name : required) {
          if (!said.contains(name)) missing[name].insert(c.name.str());
        }
      }
    }
    std::string out;
    for (const auto& [name, containers] : missing) {
      out += fmt::format("{}{} for: {}", out.empty() ? "must specify " : "; ", name, fmt::join(containers, ","));
    }
    return out;
  }

  bool changes(const api::Object& before, const api::Object& after, WallTime now) const override {
    const auto &old = before.as<v1::Pod>(), &pod = after.as<v1::Pod>();
    return isTerminating(old) != isTerminating(pod) || (counts(old, now) && !counts(pod, now)) ||
           !sameAmounts(podRequests(old), podRequests(pod)) || !sameAmounts(podLimits(old), podLimits(pod));
  }
};

}  // namespace

bool selects(const v1::ScopedResourceSelectorRequirement& scope, std::string_view value) {
  bool listed = !value.empty() && std::find(scope.values.begin(), scope.values.end(), value) != scope.values.end();
  if (scope.operator_ == "Exists") return !value.empty();
  if (scope.operator_ == "DoesNotExist") return value.empty();
  return scope.operator_ == "NotIn" ? !listed : listed;
}

std::unique_ptr<Evaluator> makePodEvaluator() { return std::make_unique<Pods>(); }

}  // namespace km::resources
