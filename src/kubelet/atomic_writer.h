// AtomicWriter: a set of files that changes as one. The target holds "..data", a link to a directory named by time; the
// visible names are links through it. Readers see the old set or the new one. Layout as upstream's.
#pragma once

#include <sys/types.h>

#include <map>
#include <optional>
#include <string>

#include "base/result.h"

namespace km::kubelet {

struct ProjectedFile {
  std::string data;
  mode_t mode = 0644;
  std::optional<uid_t> owner;
  bool operator==(const ProjectedFile&) const = default;
};
// By path, relative to the volume.
using Payload = std::map<std::string, ProjectedFile>;

// Brings the directory to the payload; `group`, where given, owns the files and may read them. Writes nothing if nothing
// changed. True if something was written.
Result<bool> writePayload(const std::string& target, const Payload& payload, std::optional<gid_t> group);

}  // namespace km::kubelet
