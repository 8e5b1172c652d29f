// Parts of pod validation, one file a subject.
#pragma once

#include <map>
#include <set>
#include <string>

#include "registry/rules.h"

namespace km::registry {

struct PodContext {
  const api::core_v1::PodSpec* spec;
  std::map<std::string, const api::core_v1::Volume*> volumes;  // the valid ones
  std::set<std::string> claims;
  bool isPod;
};

// container_validation.cc
void validateContainers(const PodContext& c, const Path& p, FieldErrors& errors);
void validateInitContainers(const PodContext& c, const Path& p, FieldErrors& errors);
void validateEphemeralContainers(const PodContext& c, const Path& p, FieldErrors& errors);
// container_parts.cc
void validateEnv(const codec::List<api::core_v1::EnvVar>& env, const Path& p, FieldErrors& errors);
void validateEnvFrom(const codec::List<api::core_v1::EnvFromSource>& env, const Path& p, FieldErrors& errors);
void validateFieldRef(const api::core_v1::ObjectFieldSelector& s, bool volume, const Path& p,
                      FieldErrors& errors);
void validateResourceFieldRef(const api::core_v1::ResourceFieldSelector& s, bool volume, const Path& p,
                              FieldErrors& errors);
void validateResources(const api::core_v1::ResourceRequirements& r, bool podLevel,
                       const std::set<std::string>& claims, const Path& p, FieldErrors& errors);
// probe_validation.cc
void validateProbe(const api::core_v1::Probe& probe, std::string_view name, const Path& p,
                   FieldErrors& errors);
void validateLifecycle(const api::core_v1::Lifecycle& l, const api::core_v1::PodSpec& spec, const Path& p,
                       FieldErrors& errors);
// volume_validation.cc
void validateVolumes(PodContext& c, const api::meta_v1::ObjectMeta* meta, const Path& p, FieldErrors& errors);
void validateDescendingPath(std::string_view path, const Path& p, FieldErrors& errors);
void validateNoBacksteps(std::string_view path, const Path& p, FieldErrors& errors);
void validateLocalPath(std::string_view path, const Path& p, FieldErrors& errors);
// security_validation.cc
void validateContainerSecurity(const api::core_v1::SecurityContext& s, bool hostUsers, const Path& p,
                               FieldErrors& errors);
void validatePodSecurity(const api::core_v1::PodSpec& spec, const Path& p, FieldErrors& errors);
void validateOsRules(const api::core_v1::PodSpec& spec, const Path& p, FieldErrors& errors);
void validateOs(const api::core_v1::PodSpec& spec, const Path& p, FieldErrors& errors);
void validateSecurityAnnotations(const api::meta_v1::ObjectMeta& meta, const api::core_v1::PodSpec& spec,
                                 const Path& p, FieldErrors& errors);
void validateSeccompMatch(const api::meta_v1::ObjectMeta& meta, const api::core_v1::PodSpec& spec,
                          const Path& p, FieldErrors& errors);
void validateAppArmorMatch(const api::meta_v1::ObjectMeta& meta, const api::core_v1::PodSpec& spec,
                           const Path& p, FieldErrors& errors);
// scheduling_validation.cc
void validateAffinity(const api::core_v1::Affinity& a, const Path& p, FieldErrors& errors);
void validateTolerations(const codec::List<api::core_v1::Toleration>& list, const Path& p,
                         FieldErrors& errors);
void validateTopologySpread(const codec::List<api::core_v1::TopologySpreadConstraint>& list, const Path& p,
                            FieldErrors& errors);
void validateNodeSelector(const api::core_v1::NodeSelector& s, const Path& p, FieldErrors& errors);
void validateNodeSelectorTerm(const api::core_v1::NodeSelectorTerm& t, bool lenient, const Path& p,
                              FieldErrors& errors);

std::string rangeText(int64_t low, int64_t high);  // "must be between 1 and 2, inclusive"

}  // namespace km::registry
