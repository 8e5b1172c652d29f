#include "base/files.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>

#include "base/rand.h"

namespace km {
namespace {

std::string parentOf(const std::string& path) {
  size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Status fsyncDirectory(const std::string& path) {
  KM_ASSIGN(UniqueFd fd, openFile(path, O_RDONLY | O_DIRECTORY));
  // Some file systems cannot fsync a directory and say EINVAL: then a rename is as durable as it gets.
  if (::fsync(fd.get()) != 0 && errno != EINVAL) return errors::fromErrno("fsync " + path, errno);
  return {};
}

}  // namespace

Result<UniqueFd> openFile(const std::string& path, int flags, mode_t mode) {
  for (;;) {
    int fd = ::open(path.c_str(), flags | O_CLOEXEC, mode);
    if (fd >= 0) return UniqueFd(fd);
    if (errno != EINTR) return errors::fromErrno("open " + path, errno);
  }
}

Result<std::string> readFile(const std::string& path) {
  KM_ASSIGN(UniqueFd fd, openFile(path, O_RDONLY));
  struct stat info;
  std::string out;
  // Files of /proc and /sys say 0: the size is only where to begin.
  size_t step =
      ::fstat(fd.get(), &info) == 0 && info.st_size > 0 ? static_cast<size_t>(info.st_size) + 1 : 4096;
  size_t have = 0;
  for (;;) {
    if (out.size() - have < 512) out.resize(have + std::max<size_t>(step, 4096));
    ssize_t n = ::read(fd.get(), out.data() + have, out.size() - have);
    if (n < 0) {
      if (errno == EINTR) continue;
      return errors::fromErrno("read " + path, errno);
    }
    if (n == 0) break;
    have += n;
  }
  out.resize(have);
  return out;
}

Status writeAll(int fd, std::string_view data) {
  while (!data.empty()) {
    ssize_t n = ::write(fd, data.data(), data.size());
    if (n < 0) {
      if (errno == EINTR) continue;
      return errors::fromErrno("write", errno);
    }
    data.remove_prefix(n);
  }
  return {};
}

Status writeFileAtomic(const std::string& path, std::string_view data, mode_t mode) {
  std::string temporary = path + ".tmp-" + randomSuffix(10);
  KM_ASSIGN(UniqueFd fd, openFile(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode & 0600));
  auto fill = [&]() -> Status {
    if (::fchmod(fd.get(), mode) != 0) return errors::fromErrno("chmod " + temporary, errno);
    KM_TRY(writeAll(fd.get(), data));
    if (::fsync(fd.get()) != 0) return errors::fromErrno("fsync " + temporary, errno);
    if (::rename(temporary.c_str(), path.c_str()) != 0) {
      return errors::fromErrno("rename " + temporary + " to " + path, errno);
    }
    return {};
  };
  if (Status s = fill(); !s.ok()) {
    ::unlink(temporary.c_str());
    return s;
  }
  return fsyncDirectory(parentOf(path));
}

Status makeDirs(const std::string& path, mode_t mode) {
  struct stat info;
  if (::stat(path.c_str(), &info) == 0) {
    if (S_ISDIR(info.st_mode)) return {};
    return errors::fromErrno("mkdir " + path, ENOTDIR);
  }
  std::string parent = parentOf(path);
  if (parent != path && parent != ".") KM_TRY(makeDirs(parent, mode));
  if (::mkdir(path.c_str(), mode) != 0) {
    if (errno == EEXIST) return {};  // somebody else was quicker, or the path ends in '/'
    return errors::fromErrno("mkdir " + path, errno);
  }
  if (::chmod(path.c_str(), mode) != 0) return errors::fromErrno("chmod " + path, errno);
  return {};
}

bool fileExists(const std::string& path) {
  struct stat info;
  return ::stat(path.c_str(), &info) == 0;
}

Status removeFile(const std::string& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return errors::fromErrno("remove " + path, errno);
  return {};
}

}  // namespace km
