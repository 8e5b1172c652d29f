// Directories that are still there after loss of power.
#pragma once

#include <string>

#include "base/status.h"

namespace km::store {

// Makes what was made or renamed in the directory durable. "" is the current directory.
Status syncDirectory(const std::string& directory);

// Makes the directory and those above it that are missing, with mode 0700, each synced into its parent.
Status makeDirectories(const std::string& directory);

// The directory that holds `path`, without trailing slashes; "" if `path` is a mere name.
std::string parentOf(const std::string& path);

}  // namespace km::store
