// The cgroups of pods, below which the runtime makes those of containers: version 1 and 2, cgroupfs.
#pragma once

#include "base/status.h"
#include "kubelet/options.h"
#include "kubelet/pod_util.h"

namespace km::kubelet {

// /kubepods and its classes, in every hierarchy.
Status ensureNodeCgroups(const Options& options);
// The pod's, with the limits of the pod as a whole.
Status ensurePodCgroup(const Options& options, const v1::Pod& pod);
// Of whatever class; absent is fine.
Status removePodCgroup(const Options& options, std::string_view uid);
bool isCgroup2(const Options& options);

}  // namespace km::kubelet
