// A whole store as one file: every row, and a SHA-256 of all. Told in docs/wire/store.md.
#pragma once

#include <string>

#include "base/status.h"
#include "store/rows.h"

namespace km::store {

// Writes the rows, as they are at one instant, to the new file `path` (mode 0600). It appears when it is
// complete and on the disk, not before. An existing file is an error.
Status writeBackup(RowStore& rows, const std::string& path);

// Reads the file to its end and checks it.
Status checkBackup(const std::string& path);

// Writes the file's rows, checked before, into empty `rows`.
Status readBackup(const std::string& path, RowStore& rows);

}  // namespace km::store
