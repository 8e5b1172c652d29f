#include "store/directories.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "base/result.h"

namespace km::store {

Status syncDirectory(const std::string& directory) {
  int fd = ::open(directory.empty() ? "." : directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return errors::fromErrno("cannot open " + directory, errno);
  int failed = ::fsync(fd) == 0 ? 0 : errno;
  ::close(fd);
  return failed == 0 ? Status() : errors::fromErrno("cannot sync " + directory, failed);
}

std::string parentOf(const std::string& path) {
  std::string trimmed = path;
  while (trimmed.size() > 1 && trimmed.back() == '/') trimmed.pop_back();
  return std::filesystem::path(trimmed).parent_path().string();
}

Status makeDirectories(const std::string& directory) {
  if (directory.empty()) return {};
  struct stat info;
  if (::stat(directory.c_str(), &info) == 0) {
    return S_ISDIR(info.st_mode) ? Status() : errors::failed(directory + " is not a directory");
  }
  std::string parent = parentOf(directory);
  if (!parent.empty() && parent != directory) KM_TRY(makeDirectories(parent));
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
    return errors::fromErrno("cannot make directory " + directory, errno);
  }
  return syncDirectory(parent);
}

}  // namespace km::store
