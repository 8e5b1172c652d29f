#include "scheduler/plugins/volume_lookup.h"

#include <fmt/format.h>

#include "scheduler/plugins/plugins.h"

namespace km::scheduler {

using api::core_v1::PersistentVolume;
using api::core_v1::PersistentVolumeClaim;

std::string claimName(const api::core_v1::Pod& pod, const api::core_v1::Volume& v, bool* ephemeral) {
  if (ephemeral != nullptr) *ephemeral = v.ephemeral.has_value();
  if (v.persistentVolumeClaim) return v.persistentVolumeClaim->claimName.str();
  if (v.ephemeral) return fmt::format("{}-{}", pod.metadata.name, v.name);
  return "";
}

std::string notFound(std::string_view resource, std::string_view name) {
  return fmt::format("{} \"{}\" not found", resource, name);
}

ClaimPtr VolumeLookup::claim(std::string_view ns, std::string_view name) const {
  return l_.claims == nullptr ? nullptr : client::Lister<PersistentVolumeClaim>(*l_.claims).get(ns, name);
}

VolumePtr VolumeLookup::volume(std::string_view name) const {
  return l_.volumes == nullptr ? nullptr : client::Lister<PersistentVolume>(*l_.volumes).get("", name);
}

StorageClassPtr VolumeLookup::storageClass(std::string_view name) const {
  return l_.storageClasses == nullptr
             ? nullptr
             : client::Lister<api::storage_v1::StorageClass>(*l_.storageClasses).get("", name);
}

std::vector<VolumePtr> VolumeLookup::volumesOf(std::string_view storageClass) const {
  std::vector<VolumePtr> out;
  if (l_.volumes == nullptr) return out;
  for (auto& v : client::Lister<PersistentVolume>(*l_.volumes).list()) {
    if (classOf(*v) == storageClass) out.push_back(std::move(v));
  }
  return out;
}

std::string classOf(const PersistentVolumeClaim& c) {
  if (const auto* old = c.metadata.annotations.find("volume.beta.kubernetes.io/storage-class"))
    return old->str();
  return c.spec.storageClassName ? c.spec.storageClassName->str() : "";
}

std::string classOf(const PersistentVolume& v) {
  if (const auto* old = v.metadata.annotations.find("volume.beta.kubernetes.io/storage-class"))
    return old->str();
  return v.spec.storageClassName.str();
}

bool fullyBound(const PersistentVolumeClaim& c) {
  return !c.spec.volumeName.empty() && c.metadata.annotations.contains(kBindCompleted);
}

bool boundTo(const PersistentVolume& v, const PersistentVolumeClaim& c) {
  if (!v.spec.claimRef) return false;
  const auto& r = *v.spec.claimRef;
  return r.name == c.metadata.name && r.namespace_ == c.metadata.namespace_ &&
         (r.uid.empty() || r.uid == c.metadata.uid);
}

bool volumeFitsNode(const PersistentVolume& v, const api::core_v1::Node& node) {
  return !v.spec.nodeAffinity || !v.spec.nodeAffinity->required ||
         matchesSelector(*v.spec.nodeAffinity->required, node);
}

}  // namespace km::scheduler
