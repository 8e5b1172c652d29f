#pragma once

#include "registry/rules.h"

namespace km::registry {

void validateClaimSpec(const api::core_v1::PersistentVolumeClaimSpec& s, const Path& p, FieldErrors& errors);
void validateClaimTemplate(const api::core_v1::PersistentVolumeClaimTemplate& t, const Path& p, FieldErrors& errors);

}  // namespace km::registry
