#include "admission/pod_references.h"

#include <algorithm>

#include "api/types/core_v1.h"

namespace km::admission {
namespace {

using api::core_v1::PodSpec;
using api::core_v1::Volume;

template <typename F>
bool anyContainer(const PodSpec& spec, F f) {
  return std::any_of(spec.initContainers.begin(), spec.initContainers.end(), f) ||
         std::any_of(spec.containers.begin(), spec.containers.end(), f) ||
         std::any_of(spec.ephemeralContainers.begin(), spec.ephemeralContainers.end(), f);
}

template <typename C>
bool readsSecret(const C& c) {
  return std::any_of(c.envFrom.begin(), c.envFrom.end(), [](const auto& e) { return bool(e.secretRef); }) ||
         std::any_of(c.env.begin(), c.env.end(),
                     [](const auto& e) { return e.valueFrom && e.valueFrom->secretKeyRef; });
}

template <typename C>
bool readsConfigMap(const C& c) {
  return std::any_of(c.envFrom.begin(), c.envFrom.end(),
                     [](const auto& e) { return bool(e.configMapRef); }) ||
         std::any_of(c.env.begin(), c.env.end(),
                     [](const auto& e) { return e.valueFrom && e.valueFrom->configMapKeyRef; });
}

bool volumeOfSecret(const Volume& v) {
  auto projected = [&] {
    return std::any_of(v.projected->sources.begin(), v.projected->sources.end(),
                       [](const auto& s) { return bool(s.secret); });
  };
  return v.secret || v.azureFile || (v.projected && projected()) || (v.csi && v.csi->nodePublishSecretRef) ||
         (v.cephfs && v.cephfs->secretRef) || (v.cinder && v.cinder->secretRef) ||
         (v.flexVolume && v.flexVolume->secretRef) || (v.rbd && v.rbd->secretRef) ||
         (v.iscsi && v.iscsi->secretRef) || (v.scaleIO && v.scaleIO->secretRef) ||
         (v.storageos && v.storageos->secretRef);
}

bool volumeOfConfigMap(const Volume& v) {
  auto projected = [&] {
    return std::any_of(v.projected->sources.begin(), v.projected->sources.end(),
                       [](const auto& s) { return bool(s.configMap); });
  };
  return v.configMap || (v.projected && projected());
}

}  // namespace

bool refersToSecrets(const PodSpec& spec) {
  return !spec.imagePullSecrets.empty() || anyContainer(spec, [](const auto& c) { return readsSecret(c); }) ||
         std::any_of(spec.volumes.begin(), spec.volumes.end(), volumeOfSecret);
}

bool refersToConfigMaps(const PodSpec& spec) {
  return anyContainer(spec, [](const auto& c) { return readsConfigMap(c); }) ||
         std::any_of(spec.volumes.begin(), spec.volumes.end(), volumeOfConfigMap);
}

}  // namespace km::admission
