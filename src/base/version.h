// The version this program reports: the Kubernetes release it speaks, and which build of it this is.
#pragma once

#include <string>
#include <string_view>

namespace km {

struct VersionInfo {
  std::string_view major, minor;
  std::string_view gitVersion;    // "v1.36.3"
  std::string_view gitCommit;     // "" if built outside a repository
  std::string_view gitTreeState;  // "clean" or "dirty"
  std::string_view buildDate;     // RFC 3339: of the commit, so that builds are reproducible
  std::string_view compiler;
  std::string_view platform;  // "linux/amd64"
};

const VersionInfo& versionInfo();
// "Kubernetes v1.36.3": what --version prints.
std::string versionLine();

}  // namespace km
