#include "registry/core/pod_validation.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"
#include "base/strings.h"
#include "codec/json.h"
#include "codec/ops.h"
#include "registry/core/pod_parts.h"
#include "registry/ip.h"
#include "registry/metadata.h"
#include "resources/pod.h"

namespace km::registry {

namespace v1 = api::core_v1;

namespace {

void validateClaims(const v1::PodSpec& spec, const api::meta_v1::ObjectMeta* meta, const Path& p,
                    FieldErrors& errors) {
  std::set<std::string_view> names;
  for (size_t i = 0; i < spec.resourceClaims.size(); i++) {
    const auto& c = spec.resourceClaims[i];
    Path at = p.index(i);
    if (meta != nullptr && meta->annotations.contains("kubernetes.io/config.mirror")) {
      errors.forbidden(Path("[]"), "static pods do not support resource claims");
      continue;
    }
    if (c.name.empty()) {
      errors.required(at.child("name"), "");
    } else if (names.count(c.name.view())) {
      errors.duplicate(at.child("name"), c.name.view());
    } else {
      dnsLabel(c.name, at.child("name"), errors);
      names.insert(c.name.view());
    }
    if (c.resourceClaimName && c.resourceClaimTemplateName) {
      errors.invalid(at, structValue(c),
                     "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified");
    }
    if (!c.resourceClaimName && !c.resourceClaimTemplateName) {
      errors.invalid(at, structValue(c),
                     "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`");
    }
    if (c.resourceClaimName) dnsSubdomain(*c.resourceClaimName, at.child("resourceClaimName"), errors);
    if (c.resourceClaimTemplateName)
      dnsSubdomain(*c.resourceClaimTemplateName, at.child("resourceClaimTemplateName"), errors);
  }
}

void validatePodResources(const v1::PodSpec& spec, const std::set<std::string>& claims, const Path& parent,
                          FieldErrors& errors) {
  if (!spec.resources) return;
  Path p = parent.child("resources");
  if (spec.os && spec.os->name == "windows") return errors.forbidden(p, "may not be set for a windows pod");
  const auto& r = *spec.resources;
  if (!r.claims.empty())
    errors.forbidden(p.child("claims"), "claims may not be set for Resources at pod-level");
  validateResources(r, true, claims, p, errors);
  for (const auto& [name, sum] : resources::containerRequests(spec)) {
    const codec::Quantity* own = r.requests.find(name);
    if (own != nullptr && sum > *own) {
      errors.invalid(
          p.child("requests").key(name), own->str(),
          fmt::format("must be greater than or equal to aggregate container requests of {}", sum.str()));
    }
  }
  for (const auto& [name, sum] : resources::containerLimits(spec)) {
    const codec::Quantity* own = r.limits.find(name);
    if (own != nullptr && isHugePages(name) && sum > *own) {
      errors.invalid(
          p.child("limits").key(name), own->str(),
          fmt::format("must be greater than or equal to aggregate container limits of {}", sum.str()));
    }
  }
  for (size_t i = 0; i < spec.containers.size(); i++) {
    for (const auto& [name, q] : spec.containers[i].resources.limits) {
      const codec::Quantity* own = r.limits.find(name);
      if (own != nullptr && q > *own) {
        errors.invalid(p.child("containers").index(i).key(name).child("limits"), q.str(),
                       fmt::format("must be less than or equal to pod limits of {}", own->str()));
      }
    }
  }
}

bool isSubdomainWithUnderscores(std::string_view s) {
  std::string plain = replaceAll(s, "_", "a");
  return api::isDns1123Subdomain(plain).empty();
}

void validateDns(const v1::PodSpec& spec, const Path& p, FieldErrors& errors) {
  if (spec.dnsPolicy == "None") {
    if (!spec.dnsConfig) return errors.required(p, "must provide `dnsConfig` when `dnsPolicy` is None");
    if (spec.dnsConfig->nameservers.empty()) {
      return errors.required(p.child("nameservers"),
                             "must provide at least one DNS nameserver when `dnsPolicy` is None");
    }
  }
  if (!spec.dnsConfig) return;
  const auto& c = *spec.dnsConfig;
  Path servers = p.child("nameservers"), searches = p.child("searches");
  if (c.nameservers.size() > 3)
    errors.invalid(servers, listValue(c.nameservers), "must not have more than 3 nameservers");
  for (size_t i = 0; i < c.nameservers.size(); i++)
    validateLegacyIp(servers.index(i), c.nameservers[i], errors);
  if (c.searches.size() > 32)
    errors.invalid(searches, listValue(c.searches), "must not have more than 32 search paths");
  size_t length = c.searches.empty() ? 0 : c.searches.size() - 1;
  for (const auto& s : c.searches) length += s.size();
  if (length > 2048) {
    errors.invalid(searches, listValue(c.searches),
                   "must not have more than 2048 characters (including spaces) in the search list");
  }
  for (size_t i = 0; i < c.searches.size(); i++) {
    std::string_view s = c.searches[i];
    if (s == ".") continue;
    if (s.ends_with('.')) s.remove_suffix(1);
    if (s.size() > 253) errors.invalid(searches.index(i), s, "must be no more than 253 characters");
    if (!isSubdomainWithUnderscores(s)) {
      errors.invalid(
          searches.index(i), s,
          "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or "
          "'.', and must start "
          "and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
          "'_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*')");
    }
  }
  for (size_t i = 0; i < c.options.size(); i++) {
    if (c.options[i].name.empty()) errors.required(p.child("options").index(i), "must not be empty");
  }
}

void validateHostNetworkPorts(const v1::PodSpec& spec, bool isPod, const Path& p, FieldErrors& errors) {
  if (!spec.hostNetwork) return;
  for (size_t i = 0; i < spec.containers.size(); i++) {
    const auto& ports = spec.containers[i].ports;
    for (size_t k = 0; k < ports.size(); k++) {
      if ((isPod || ports[k].hostPort != 0) && ports[k].hostPort != ports[k].containerPort) {
        errors.invalid(p.child("containers").index(i).child("ports").index(k).child("hostPort"),
                       ports[k].hostPort, "must match `containerPort` when `hostNetwork` is true");
      }
    }
  }
}

void validateGates(const v1::PodSpec& spec, const Path& p, FieldErrors& errors) {
  for (size_t i = 0; i < spec.readinessGates.size(); i++) {
    qualifiedName(spec.readinessGates[i].conditionType,
                  p.child("readinessGates").index(i).child("conditionType"), errors);
  }
  std::set<std::string_view> seen;
  for (size_t i = 0; i < spec.schedulingGates.size(); i++) {
    Path at = p.child("schedulingGates").index(i);
    qualifiedName(spec.schedulingGates[i].name, at, errors);
    if (!seen.insert(spec.schedulingGates[i].name.view()).second)
      errors.duplicate(at, spec.schedulingGates[i].name.view());
  }
}

void validateHostName(const v1::PodSpec& spec, const Path& p, FieldErrors& errors) {
  if (!spec.hostnameOverride) return;
  Path at = p.child("hostnameOverride");
  if (spec.setHostnameAsFQDN.value_or(false))
    errors.forbidden(at, "may not be specified when setHostnameAsFQDN is true");
  if (spec.hostNetwork) errors.forbidden(at, "may not be specified when hostNetwork is true");
  if (spec.hostnameOverride->size() > 64) errors.tooLong(at, 64);
  dnsSubdomain(*spec.hostnameOverride, at, errors);
}

void validateNames(const v1::PodSpec& spec, const Path& p, FieldErrors& errors) {
  if (!spec.serviceAccountName.empty())
    dnsSubdomain(spec.serviceAccountName, p.child("serviceAccountName"), errors);
  if (!spec.nodeName.empty()) dnsSubdomain(spec.nodeName, p.child("nodeName"), errors);
  if (spec.activeDeadlineSeconds &&
      (*spec.activeDeadlineSeconds < 1 || *spec.activeDeadlineSeconds > INT32_MAX)) {
    errors.invalid(p.child("activeDeadlineSeconds"), *spec.activeDeadlineSeconds, rangeText(1, INT32_MAX));
  }
  if (!spec.hostname.empty()) dnsLabel(spec.hostname, p.child("hostname"), errors);
  if (!spec.subdomain.empty()) dnsLabel(spec.subdomain, p.child("subdomain"), errors);
  validateTolerations(spec.tolerations, p.child("tolerations"), errors);
  for (size_t i = 0; i < spec.hostAliases.size(); i++) {
    Path at = p.child("hostAliases").index(i);
    validateLegacyIp(at.child("ip"), spec.hostAliases[i].ip, errors);
    const auto& names = spec.hostAliases[i].hostnames;
    for (size_t k = 0; k < names.size(); k++) dnsSubdomain(names[k], at.child("hostnames").index(k), errors);
  }
  if (!spec.priorityClassName.empty())
    dnsSubdomain(spec.priorityClassName, p.child("priorityClassName"), errors);
  if (spec.runtimeClassName) dnsSubdomain(*spec.runtimeClassName, p.child("runtimeClassName"), errors);
  if (spec.preemptionPolicy) {
    oneOf(*spec.preemptionPolicy, {"PreemptLowerPriority", "Never"}, p.child("preemptionPolicy"), errors);
  }
  if (!spec.overhead.empty()) {
    v1::ResourceRequirements limits;
    limits.limits = spec.overhead;
    validateResources(limits, false, {}, p.child("overhead"), errors);
  }
}

template <typename List>
void validateFileKeyVolumes(const List& containers, const v1::PodSpec& spec, const Path& p,
                            FieldErrors& errors) {
  for (size_t i = 0; i < containers.size(); i++) {
    for (size_t k = 0; k < containers[i].env.size(); k++) {
      const auto& from = containers[i].env[k].valueFrom;
      if (!from || !from->fileKeyRef) continue;
      Path at = p.index(i).child("env").index(k).child("valueFrom").child("fileKeyRef").child("volumeName");
      const auto& name = from->fileKeyRef->volumeName;
      auto v = std::find_if(spec.volumes.begin(), spec.volumes.end(),
                            [&](const v1::Volume& x) { return x.name == name; });
      if (v == spec.volumes.end()) {
        errors.notFound(at, name.view());
      } else if (!v->emptyDir) {
        errors.invalid(at, name.view(), "referenced volume must be of type emptyDir");
      }
    }
  }
}

void validatePodAnnotations(const api::meta_v1::ObjectMeta& meta, const v1::PodSpec& spec, const Path& p,
                            FieldErrors& errors) {
  constexpr std::string_view kMirror = "kubernetes.io/config.mirror";
  constexpr std::string_view kCost = "controller.kubernetes.io/pod-deletion-cost";
  if (const codec::String* v = meta.annotations.find(kMirror); v != nullptr && spec.nodeName.empty()) {
    errors.invalid(p.key(kMirror), v->view(), "must set spec.nodeName if mirror pod annotation is set");
  }
  if (const codec::String* v = meta.annotations.find(kCost)) {
    auto n = parseInt64(*v);
    bool plain = n && *n >= INT32_MIN && *n <= INT32_MAX && !v->view().starts_with('+') &&
                 (v->size() == 1 || (!v->view().starts_with('0') && !v->view().starts_with("-0")));
    if (!plain) errors.invalid(p.key(kCost), v->view(), "must be a 32bit integer");
  }
  validateSecurityAnnotations(meta, spec, p, errors);
  constexpr std::string_view kTolerations = "scheduler.alpha.kubernetes.io/tolerations";
  if (const codec::String* v = meta.annotations.find(kTolerations); v != nullptr && !v->empty()) {
    v1::PodSpec old;
    Status read = codec::decodeJson(fmt::format("{{\"tolerations\":{}}}", *v), &old, v1::PodSpec::kType, nullptr);
    if (!read.ok()) {
      errors.invalid(p, kTolerations, read.message());
    } else {
      validateTolerations(old.tolerations, p.child(kTolerations), errors);
    }
  }
}

template <typename List>
void validateImages(const List& list, const Path& p, FieldErrors& errors) {
  for (size_t i = 0; i < list.size(); i++) {
    if (trimSpace(list[i].image).size() != list[i].image.size()) {
      errors.invalid(p.index(i).child("image"), list[i].image.view(),
                     "must not have leading or trailing whitespace");
    }
  }
}

void validateMetaAndSpec(const v1::Pod& pod, FieldErrors& errors) {
  Path p("spec");
  validatePodAnnotations(pod.metadata, pod.spec, Path("metadata.annotations"), errors);
  validatePodSpec(pod.spec, &pod.metadata, p, true, errors);
  if (pod.spec.serviceAccountName.empty()) {
    for (size_t i = 0; i < pod.spec.volumes.size(); i++) {
      const auto& v = pod.spec.volumes[i];
      if (!v.projected) continue;
      for (size_t k = 0; k < v.projected->sources.size(); k++) {
        if (!v.projected->sources[k].serviceAccountToken) continue;
        errors.forbidden(p.child("volumes")
                             .index(i)
                             .child("projected")
                             .child("sources")
                             .index(k)
                             .child("serviceAccountToken"),
                         "must not be specified when serviceAccountName is not set");
      }
    }
  }
  validateImages(pod.spec.containers, p.child("containers"), errors);
  validateImages(pod.spec.initContainers, p.child("initContainers"), errors);
}

}  // namespace

void validatePodSpec(const v1::PodSpec& spec, const api::meta_v1::ObjectMeta* meta, const Path& p, bool isPod,
                     FieldErrors& errors) {
  PodContext c{&spec, {}, {}, isPod};
  if (!spec.terminationGracePeriodSeconds) errors.required(p.child("terminationGracePeriodSeconds"), "");
  validateVolumes(c, meta, p.child("volumes"), errors);
  for (const auto& claim : spec.resourceClaims) {
    if (!claim.name.empty()) c.claims.insert(claim.name.str());
  }
  validateClaims(spec, meta, p.child("resourceClaims"), errors);
  validateContainers(c, p.child("containers"), errors);
  validateInitContainers(c, p.child("initContainers"), errors);
  validateEphemeralContainers(c, p.child("ephemeralContainers"), errors);
  validatePodResources(spec, c.claims, p, errors);
  validateHostNetworkPorts(spec, isPod, p, errors);
  oneOf(spec.restartPolicy, {"Always", "OnFailure", "Never"}, p.child("restartPolicy"), errors);
  oneOf(spec.dnsPolicy, {"ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"}, p.child("dnsPolicy"),
        errors);
  validateLabels(spec.nodeSelector, p.child("nodeSelector"), errors);
  validatePodSecurity(spec, p.child("securityContext"), errors);
  if (spec.affinity) validateAffinity(*spec.affinity, p.child("affinity"), errors);
  validateDns(spec, p.child("dnsConfig"), errors);
  validateGates(spec, p, errors);
  validateTopologySpread(spec.topologySpreadConstraints, p.child("topologySpreadConstraints"), errors);
  validateOsRules(spec, p, errors);
  validateHostName(spec, p, errors);
  validateNames(spec, p, errors);
  validateOs(spec, p, errors);
  validateFileKeyVolumes(spec.initContainers, spec, p.child("initContainers"), errors);
  validateFileKeyVolumes(spec.containers, spec, p.child("containers"), errors);
  validateFileKeyVolumes(spec.ephemeralContainers, spec, p.child("ephemeralContainers"), errors);
}

void validatePodTemplate(const v1::PodTemplateSpec& t, const Path& p, FieldErrors& errors) {
  validateLabels(t.metadata.labels, p.child("labels"), errors);
  validateAnnotations(t.metadata.annotations, p.child("annotations"), errors);
  validatePodAnnotations(t.metadata, t.spec, p.child("annotations"), errors);
  validatePodSpec(t.spec, nullptr, p.child("spec"), false, errors);
  validateSeccompMatch(t.metadata, t.spec, p.child("spec"), errors);
  if (!t.spec.ephemeralContainers.empty()) {
    errors.forbidden(p.child("spec").child("ephemeralContainers"),
                     "ephemeral containers not allowed in pod template");
  }
}

void validatePodCreate(const v1::Pod& pod, FieldErrors& errors) {
  validateMetaAndSpec(pod, errors);
  Path p("spec");
  if (!pod.spec.ephemeralContainers.empty())
    errors.forbidden(p.child("ephemeralContainers"), "cannot be set on create");
  if (!pod.spec.nodeName.empty() && !pod.spec.schedulingGates.empty()) {
    errors.forbidden(p.child("nodeName"), "cannot be set until all schedulingGates have been cleared");
  }
  validateSeccompMatch(pod.metadata, pod.spec, p, errors);
  validateAppArmorMatch(pod.metadata, pod.spec, p, errors);
}

void validatePodAndSpecForUpdate(const v1::Pod& pod, FieldErrors& errors) {
  validateMetaAndSpec(pod, errors);
}
void validatePodAnnotationRules(const v1::Pod& pod, FieldErrors& errors) {
  validatePodAnnotations(pod.metadata, pod.spec, Path("metadata.annotations"), errors);
}

}  // namespace km::registry
