// What the node and its pods use, from the cgroups: the answer of /stats/summary.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kubelet/options.h"
#include "kubelet/pod_util.h"

namespace km::kubelet {

// Of one cgroup ("" is the machine's); what cannot be read is missing.
struct CgroupUsage {
  std::optional<uint64_t> cpu, memory, inactive, rss;  // nanoseconds, bytes
  uint64_t workingSet() const { return memory.value_or(0) - std::min(memory.value_or(0), inactive.value_or(0)); }
};
CgroupUsage cgroupUsage(const Options& options, const std::string& group);

std::string statsSummary(const Options& options, const std::vector<PodPtr>& pods);

}  // namespace km::kubelet
