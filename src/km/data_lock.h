// Small things that every long-running command of a machine needs.
#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace km {

// One km on a data directory at a time: makes the directory (mode 0711) and holds <dataDir>/km.pid as long as the descriptor lives. The
// error names the process that has it.
Result<UniqueFd> lockData(const std::string& dataDir);
// The km that runs on the data directory, or 0.
int runningKm(const std::string& dataDir);
// The host's name in lower case, as a node is named by default.
std::string hostName();

}  // namespace km
