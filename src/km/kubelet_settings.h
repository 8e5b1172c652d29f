// From KubeletConfiguration to what our kubelet is told, with upstream's validation.
#pragma once

#include <string>

#include "km/component_config.h"
#include "kubelet/options.h"

namespace km {

// All errors in one, worded as upstream words them.
Status validateKubeletConfig(const ComponentConfig& config);

// Fills in what the configuration decides. Errors: what cannot be read, or is of no kind that is known.
Status applyKubeletConfig(const ComponentConfig& config, kubelet::Options& options);

// What /configz answers of a kubelet that was given its options otherwise.
std::string kubeletConfigz(const kubelet::Options& options, const std::string& runtimeEndpoint);

// Whether this machine swaps.
bool swapIsOn();

}  // namespace km
