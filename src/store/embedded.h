// The engine inside this process: etcd's multi-version semantics over RocksDB on a local directory, or over
// memory.
#pragma once

#include <memory>
#include <string>

#include "base/clock.h"
#include "store/store.h"

namespace km::store {

struct EmbeddedOptions {
  std::string directory;            // made if missing, with mode 0700; belongs to the store alone
  Clock* clock = &Clock::system();  // must outlive the store
};

// Opens, or makes, the store in the directory and checks every row in it. Errors, each with a message for the
// administrator: the directory is in use by another process, cannot be written, was written by a newer
// version, or holds damaged data (then nothing was changed: restore from a backup).
Result<std::unique_ptr<Store>> openEmbedded(const EmbeddedOptions& options);

// Makes `directory` from a file that Store::backup wrote. The directory must be absent or empty; the backup
// is checked before anything is put there. Then open it.
Status restoreEmbedded(const std::string& backupFile, const std::string& directory);

// The same semantics without a disk, for tests. Nothing survives.
std::unique_ptr<Store> openMemory(Clock& clock = Clock::system());

}  // namespace km::store
