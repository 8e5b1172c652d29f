// Defaults of core kinds that depend on other fields, but for pods and their templates (pod_defaults.cc).
#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"
#include "registry/core/service_defaults.h"
#include "registry/defaults.h"
#include "resources/amounts.h"

namespace km::registry {
namespace {

namespace v1 = api::core_v1;

template <typename T, void (*F)(T&)>
constexpr TypeDefault rule() {
  return {&T::kType, [](void* value) { F(*static_cast<T*>(value)); }};
}

void secret(v1::Secret& s) {
  if (s.type.empty()) s.type = "Opaque";
  // stringData is a way to write data, and is never read back.
  for (auto& [key, value] : s.stringData) s.data[key] = value;
  s.stringData.clear();
}

void namespaceLabel(v1::Namespace& n) {
  if (!n.metadata.name.empty()) n.metadata.labels["kubernetes.io/metadata.name"] = n.metadata.name;
}
void namespaceStatus(v1::NamespaceStatus& s) {
  if (s.phase.empty()) s.phase = "Active";
}

void endpointPort(v1::EndpointPort& p) {
  if (p.protocol.empty()) p.protocol = "TCP";
}

void nodeStatus(v1::NodeStatus& s) {
  resources::roundUp(s.capacity);
  resources::roundUp(s.allocatable);
  if (s.allocatable.empty()) s.allocatable = s.capacity;
}

void persistentVolume(v1::PersistentVolume& v) {
  if (v.status.phase.empty()) v.status.phase = "Pending";
  if (v.spec.persistentVolumeReclaimPolicy.empty()) v.spec.persistentVolumeReclaimPolicy = "Retain";
  if (!v.spec.volumeMode) v.spec.volumeMode = "Filesystem";
  resources::roundUp(v.spec.capacity);
}
void claim(v1::PersistentVolumeClaim& c) {
  if (c.status.phase.empty()) c.status.phase = "Pending";
  resources::roundUp(c.status.capacity);
  resources::roundUp(c.status.allocatedResources);
}
void claimSpec(v1::PersistentVolumeClaimSpec& s) {
  if (!s.volumeMode) s.volumeMode = "Filesystem";
  // A source may be named in the old way or in the new one; both are shown.
  resources::roundUp(s.resources.limits);
  resources::roundUp(s.resources.requests);
}

void replicationController(v1::ReplicationController& r) {
  if (!r.spec.template_) return;
  const auto& labels = r.spec.template_->metadata.labels;
  if (labels.empty()) return;
  if (r.spec.selector.empty()) r.spec.selector = labels;
  if (r.metadata.labels.empty()) r.metadata.labels = labels;
}

void limitRangeItem(v1::LimitRangeItem& i) {
  for (auto* list : {&i.max, &i.min, &i.default_, &i.defaultRequest, &i.maxLimitRequestRatio}) resources::roundUp(*list);
  if (i.type != "Container") return;
  auto fill = [](codec::Map<codec::Quantity>& to, const codec::Map<codec::Quantity>& from) {
    for (const auto& [name, q] : from) {
      if (!to.contains(name)) to[name] = q;
    }
  };
  fill(i.default_, i.max);
  fill(i.defaultRequest, i.default_);
  fill(i.defaultRequest, i.min);
}

void quotaSpec(v1::ResourceQuotaSpec& s) { resources::roundUp(s.hard); }
void quotaStatus(v1::ResourceQuotaStatus& s) {
  resources::roundUp(s.hard);
  resources::roundUp(s.used);
}

constexpr TypeDefault kRules[] = {
    rule<v1::Secret, secret>(),
    rule<v1::Namespace, namespaceLabel>(),
    rule<v1::NamespaceStatus, namespaceStatus>(),
    rule<v1::EndpointPort, endpointPort>(),
    rule<v1::NodeStatus, nodeStatus>(),
    rule<v1::PersistentVolume, persistentVolume>(),
    rule<v1::PersistentVolumeClaim, claim>(),
    rule<v1::PersistentVolumeClaimSpec, claimSpec>(),
    rule<v1::ReplicationController, replicationController>(),
    rule<v1::LimitRangeItem, limitRangeItem>(),
    rule<v1::ResourceQuotaSpec, quotaSpec>(),
    rule<v1::ResourceQuotaStatus, quotaStatus>(),
    rule<v1::Service, setServiceDefaults>(),
};

}  // namespace

std::span<const TypeDefault> coreDefaults() { return kRules; }

}  // namespace km::registry
