// Defaults of pods and of what their templates hold.
#include <algorithm>

#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"
#include "registry/core/image_reference.h"
#include "registry/defaults.h"
#include "resources/amounts.h"
#include "resources/pod.h"

namespace km::registry {
namespace {

namespace v1 = api::core_v1;

template <typename T, void (*F)(T&)>
constexpr TypeDefault rule() {
  return {&T::kType, [](void* value) { F(*static_cast<T*>(value)); }};
}

constexpr int32_t kFileMode = 0644;

codec::String pullPolicyOf(std::string_view image) {
  return imageTag(image) == std::string_view("latest") ? "Always" : "IfNotPresent";
}

template <typename Container>
void container(Container& c) {
  if (c.imagePullPolicy.empty()) c.imagePullPolicy = pullPolicyOf(c.image);
  if (c.terminationMessagePath.empty()) c.terminationMessagePath = "/dev/termination-log";
  if (c.terminationMessagePolicy.empty()) c.terminationMessagePolicy = "File";
}

void resources(v1::ResourceRequirements& r) {
  resources::roundUp(r.limits);
  resources::roundUp(r.requests);
}

void volume(v1::Volume& v) {
  bool any = false;
  for (const codec::Field& f : v1::Volume::kType) {
    if (f.name != "name" && *static_cast<void* const*>(codec::at(&v, f)) != nullptr) any = true;
  }
  if (!any) v.emptyDir.emplace();
  if (v.image && v.image->pullPolicy.empty()) v.image->pullPolicy = pullPolicyOf(v.image->reference);
}

template <typename Source>
void mode(Source& s) {
  if (!s.defaultMode) s.defaultMode = kFileMode;
}

void hostPath(v1::HostPathVolumeSource& s) {
  if (!s.type) s.type = "";
}
void tokenProjection(v1::ServiceAccountTokenProjection& s) {
  if (!s.expirationSeconds) s.expirationSeconds = 3600;
}
void fieldRef(v1::ObjectFieldSelector& s) {
  if (s.apiVersion.empty()) s.apiVersion = "v1";
}
void httpGet(v1::HTTPGetAction& a) {
  if (a.path.empty()) a.path = "/";
  if (a.scheme.empty()) a.scheme = "HTTP";
}
void probe(v1::Probe& p) {
  if (p.timeoutSeconds == 0) p.timeoutSeconds = 1;
  if (p.periodSeconds == 0) p.periodSeconds = 10;
  if (p.successThreshold == 0) p.successThreshold = 1;
  if (p.failureThreshold == 0) p.failureThreshold = 3;
}

void podSpec(v1::PodSpec& s) {
  if (s.dnsPolicy.empty()) s.dnsPolicy = "ClusterFirst";
  if (s.restartPolicy.empty()) s.restartPolicy = "Always";
  if (!s.securityContext) s.securityContext.emplace();
  if (!s.terminationGracePeriodSeconds) s.terminationGracePeriodSeconds = 30;
  if (*s.terminationGracePeriodSeconds < 0) s.terminationGracePeriodSeconds = 1;
  if (s.schedulerName.empty()) s.schedulerName = "default-scheduler";
  // The old name of the field is kept in step with the new one.
  if (s.serviceAccountName.empty()) s.serviceAccountName = s.serviceAccount;
  s.serviceAccount = s.serviceAccountName;
  resources::roundUp(s.overhead);
}

void limitsToRequests(codec::List<v1::Container>& containers) {
  for (auto& c : containers) {
    for (const auto& [name, q] : c.resources.limits) {
      if (!c.resources.requests.contains(name)) c.resources.requests[name] = q;
    }
  }
}

void podLevelResources(v1::PodSpec& s) {
  if (!s.resources) return;
  auto& r = *s.resources;
  if (r.limits.empty() && r.requests.empty()) return;
  for (const auto& [name, q] : resources::containerLimits(s)) {
    if (name.view().starts_with("hugepages-") && !r.requests.contains(name) && !r.limits.contains(name))
      r.limits[name] = q;
  }
  if (r.limits.empty()) return;
  for (const auto& [name, q] : resources::containerRequests(s)) {
    if (resources::isPodLevelResource(name) && !name.view().starts_with("hugepages-") && !r.requests.contains(name))
      r.requests[name] = q;
  }
  for (const auto& [name, q] : r.limits) {
    if (resources::isPodLevelResource(name) && !r.requests.contains(name)) r.requests[name] = q;
  }
}

void pod(v1::Pod& p) {
  limitsToRequests(p.spec.containers);
  limitsToRequests(p.spec.initContainers);
  podLevelResources(p.spec);
  if (!p.spec.enableServiceLinks) p.spec.enableServiceLinks = true;
  if (!p.spec.hostNetwork) return;
  for (auto* list : {&p.spec.containers, &p.spec.initContainers}) {
    for (auto& c : *list) {
      for (auto& port : c.ports) {
        if (port.hostPort == 0) port.hostPort = port.containerPort;
      }
    }
  }
}

// The first address stands in both fields; the singular one wins where they differ.
void podStatus(v1::PodStatus& s) {
  if (!s.podIP.empty() && (s.podIPs.empty() || !(s.podIPs[0].ip == s.podIP))) {
    s.podIPs.clear();
    s.podIPs.add().ip = s.podIP;
  }
  if (s.podIP.empty() && !s.podIPs.empty()) s.podIP = s.podIPs[0].ip;
  resources::roundUp(s.allocatedResources);
}

void containerStatus(v1::ContainerStatus& s) {
  resources::roundUp(s.allocatedResources);
}

constexpr TypeDefault kRules[] = {
    rule<v1::Pod, pod>(),
    rule<v1::PodStatus, podStatus>(),
    rule<v1::ContainerStatus, containerStatus>(),
    rule<v1::PodSpec, podSpec>(),
    rule<v1::Container, container<v1::Container>>(),
    rule<v1::EphemeralContainer, container<v1::EphemeralContainer>>(),
    rule<v1::ResourceRequirements, resources>(),
    rule<v1::Volume, volume>(),
    rule<v1::SecretVolumeSource, mode<v1::SecretVolumeSource>>(),
    rule<v1::ConfigMapVolumeSource, mode<v1::ConfigMapVolumeSource>>(),
    rule<v1::DownwardAPIVolumeSource, mode<v1::DownwardAPIVolumeSource>>(),
    rule<v1::ProjectedVolumeSource, mode<v1::ProjectedVolumeSource>>(),
    rule<v1::HostPathVolumeSource, hostPath>(),
    rule<v1::ServiceAccountTokenProjection, tokenProjection>(),
    rule<v1::ObjectFieldSelector, fieldRef>(),
    rule<v1::HTTPGetAction, httpGet>(),
    rule<v1::Probe, probe>(),
};

}  // namespace

std::span<const TypeDefault> podDefaults() {
  return kRules;
}

}  // namespace km::registry
