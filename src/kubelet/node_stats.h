// What the node and its pods use, from the cgroups: the answer of /stats/summary.
#pragma once

#include <string>
#include <vector>

#include "kubelet/options.h"
#include "kubelet/pod_util.h"

namespace km::kubelet {

std::string statsSummary(const Options& options, const std::vector<PodPtr>& pods);

}  // namespace km::kubelet
