// What a container left to say, and the links to its log.
#pragma once

#include <string>

#include "kubelet/options.h"
#include "kubelet/pod_runtime.h"
#include "kubelet/pod_util.h"

namespace km::kubelet {

// From its termination log, or the end of its log by FallbackToLogsOnError.
std::string terminationMessage(const Options& options, const ContainerRecord& r, const RuntimePod& pod);
// /var/log/containers/POD_NS_CONTAINER-ID.log -> the log's file.
void makeLogLink(const Options& options, const v1::Pod& pod, std::string_view container, const ContainerRecord& r);
void removeLogLink(const Options& options, const ContainerRecord& r);

}  // namespace km::kubelet
