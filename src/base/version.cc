#include "base/version.h"

#ifndef KM_GIT_COMMIT
#define KM_GIT_COMMIT ""
#define KM_GIT_TREE_STATE ""
#define KM_BUILD_DATE ""
#endif

namespace km {

const VersionInfo& versionInfo() {
  static constexpr VersionInfo kInfo {
    .major = "1", .minor = "36", .gitVersion = "v1.36.3", .gitCommit = KM_GIT_COMMIT,
    .gitTreeState = KM_GIT_TREE_STATE, .buildDate = KM_BUILD_DATE, .compiler = "g++ " __VERSION__,
#if defined(__aarch64__)
    .platform = "linux/arm64",
#else
    .platform = "linux/amd64",
#endif
  };
  return kInfo;
}

std::string versionLine() {
  return "Kubernetes " + std::string(versionInfo().gitVersion);
}

}  // namespace km
