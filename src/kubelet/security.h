// Security contexts of pods and containers as the runtime takes them. Pure.
#pragma once

#include "api/types/cri_runtime_v1.h"
#include "base/result.h"
#include "kubelet/options.h"
#include "kubelet/pod_util.h"

namespace km::kubelet {

// Who the image runs as, where the pod doesn't say.
struct ImageUser {
  std::optional<int64_t> uid;
  std::string name;
};

api::cri_runtime_v1::NamespaceOption namespacesOf(const v1::Pod& pod);
api::cri_runtime_v1::LinuxSandboxSecurityContext sandboxSecurity(const Options& options, const v1::Pod& pod);
// `targetId`: of an ephemeral container, the one whose processes it sees; else empty.
Result<api::cri_runtime_v1::LinuxContainerSecurityContext> containerSecurity(const Options& options, const v1::Pod& pod, const v1::Container& c,
                                                                             const ImageUser& user, const std::string& targetId);

}  // namespace km::kubelet
