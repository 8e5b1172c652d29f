// What a folder holds on disk.
#pragma once

#include <cstdint>
#include <string>

namespace km::kubelet {

// Bytes of blocks of all files below, each once whatever its names; other file systems below are left out.
int64_t diskUsage(const std::string& path);

}  // namespace km::kubelet
