// The flags that every server shares.
#pragma once

#include <string>

namespace km {

class FlagSet;

struct BaseFlags {
  bool help = false;
  std::string version = "false";  // "true", "raw" or a version to report

  void addTo(FlagSet& flags, const std::string& program);  // with the logging flags
  bool wantsVersion() const { return version != "false"; }
  std::string versionText() const;  // what to print, with a line end
};

}  // namespace km
