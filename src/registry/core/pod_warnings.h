// What a pod, or a template of pods, says that works but surprises: Warning headers of the answer (upstream's pkg/api/pod).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/field_error.h"
#include "api/types/fwd.h"

namespace km::registry {

std::vector<std::string> podWarnings(const api::core_v1::Pod& pod);
std::vector<std::string> podTemplateWarnings(const api::core_v1::PodTemplateSpec& t, const api::Path& p);

// Why a label of nodes should no longer be selected by; nothing if it is fine.
std::optional<std::string_view> deprecatedNodeLabel(std::string_view key);
// Of a node selector written as a label selector, and of a term of a node affinity. `checkValues`: values that no label can have
// are named, too (preferences are not validated).
void labelSelectorWarnings(const api::meta_v1::LabelSelector& s, const api::Path& p, std::vector<std::string>& out);
void nodeSelectorTermWarnings(const api::core_v1::NodeSelectorTerm& t, bool checkValues, const api::Path& p,
                              std::vector<std::string>& out);

void claimSpecWarnings(const api::core_v1::PersistentVolumeClaimSpec& spec, const api::Path& p, std::vector<std::string>& out);

}  // namespace km::registry
