// Whole files, written so that a crash leaves the old content or the new one, never a part.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/status.h"
#include "base/unique_fd.h"

namespace km {

Result<std::string> readFile(const std::string& path);

// Writes a temporary file beside `path`, fsyncs it, renames it over `path` and fsyncs the directory. `mode`
// is exact (the umask does not count) from the moment the file exists. Concurrent writers: one of them wins,
// whole.
Status writeFileAtomic(const std::string& path, std::string_view data, mode_t mode = 0644);

// mkdir -p: the directories that are made get exactly `mode`; those that exist are left alone.
Status makeDirs(const std::string& path, mode_t mode = 0755);

// Writes all of `data` to `fd`, however many write(2) calls it takes.
Status writeAll(int fd, std::string_view data);

bool fileExists(const std::string& path);

// Removes a file; its absence is a success.
Status removeFile(const std::string& path);

// Opens with O_CLOEXEC added.
Result<UniqueFd> openFile(const std::string& path, int flags, mode_t mode = 0644);

}  // namespace km
