// From resource requests and limits to what the kernel is told. Pure.
#pragma once

#include <string>

#include "api/types/cri_runtime_v1.h"
#include "kubelet/options.h"
#include "kubelet/pod_util.h"

namespace km::kubelet {

int64_t cpuShares(int64_t milliCpu);
int64_t cpuQuota(int64_t milliCpu);  // of a period of 100 ms; 0: no limit
int oomScoreAdj(const v1::Pod& pod, const v1::Container& c, int64_t memoryCapacity);
// The whole of one container.
api::cri_runtime_v1::LinuxContainerResources containerResources(const Options& options, const v1::Pod& pod, const v1::Container& c, int64_t memoryCapacity);

// What the pod as a whole asks for and may use: the sum of its containers, init containers counted as they overlap,
// and the overhead. A limit that one container lacks is no limit (0).
struct PodResources {
  int64_t cpuRequestMilli = 0, cpuLimitMilli = 0, memoryRequest = 0, memoryLimit = 0;
};
PodResources podResources(const v1::Pod& pod);

// "/kubepods/besteffort/podUID" and so on.
std::string cgroupParent(const v1::Pod& pod);

}  // namespace km::kubelet
