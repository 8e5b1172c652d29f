#pragma once

#include "registry/rules.h"

namespace km::registry {

// A volume's spec as an attachment holds it: without claim, capacity and class, and of a CSI driver.
void validateInlineVolume(const api::core_v1::PersistentVolumeSpec& s, const Path& p, FieldErrors& errors);

}  // namespace km::registry
