// Subpaths of volumes: a part of a volume, bound to a place of our own so that what stands in the volume (symbolic links,
// later changes) cannot lead the mount elsewhere.
#pragma once

#include <string>

#include "base/result.h"

namespace km::kubelet {

// Makes the directory if nothing stands there and the volume may be written. Gives `holder`, with the part bound onto it.
Result<std::string> bindSubpath(const std::string& volume, const std::string& subpath, const std::string& holder, bool readOnlyVolume);
// Unmounts all binds below the directory and removes it.
void releaseSubpaths(const std::string& directory);
// Unmounts what is mounted at or below the path, deepest first.
void unmountBelow(const std::string& path);

}  // namespace km::kubelet
