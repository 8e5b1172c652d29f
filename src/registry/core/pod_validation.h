// Validation of pods (upstream's pkg/apis/core/validation).
#pragma once

#include "registry/rules.h"

namespace km::registry {

// `meta` is the pod's; null for templates. `isPod`: rules that hold for pods and not yet for templates count too.
void validatePodSpec(const api::core_v1::PodSpec& spec, const api::meta_v1::ObjectMeta* meta, const Path& p, bool isPod,
                     FieldErrors& errors);
// Labels, annotations and spec of a template of any workload.
void validatePodTemplate(const api::core_v1::PodTemplateSpec& t, const Path& p, FieldErrors& errors);

void validatePodCreate(const api::core_v1::Pod& pod, FieldErrors& errors);
void validatePodUpdate(const api::core_v1::Pod& pod, const api::core_v1::Pod& old, FieldErrors& errors);
// Annotations that may not change.
void validatePodAnnotationUpdates(const api::core_v1::Pod& pod, const api::core_v1::Pod& old, FieldErrors& errors);
// What holds for a pod of any age.
void validatePodAndSpecForUpdate(const api::core_v1::Pod& pod, FieldErrors& errors);
void validatePodStatusUpdate(const api::core_v1::Pod& pod, const api::core_v1::Pod& old, FieldErrors& errors);

}  // namespace km::registry
