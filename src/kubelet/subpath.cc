#include "kubelet/subpath.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <vector>

#include "base/files.h"
#include "base/strings.h"

namespace km::kubelet {
namespace {

// Opens below the directory; a link that leads out of it is an error.
UniqueFd openBelow(int dir, const std::string& path, uint64_t flags) {
  open_how how{};
  how.flags = flags | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  return UniqueFd(static_cast<int>(::syscall(SYS_openat2, dir, path.c_str(), &how, sizeof how)));
}

Status makeBelow(int root, const std::string& subpath) {
  std::string sofar;
  for (std::string_view part : split(subpath, '/')) {
    if (part.empty() || part == ".") continue;
    std::string parent = sofar.empty() ? "." : sofar;
    sofar += (sofar.empty() ? "" : "/") + std::string(part);
    if (openBelow(root, sofar, O_PATH)) continue;
    if (errno != ENOENT) return errors::fromErrno("subpath " + subpath, errno);
    UniqueFd dir = openBelow(root, parent, O_PATH | O_DIRECTORY);
    if (!dir) return errors::fromErrno("subpath " + subpath, errno);
    struct stat st{};
    ::fstat(dir.get(), &st);
    if (::mkdirat(dir.get(), std::string(part).c_str(), st.st_mode & 07777) != 0 && errno != EEXIST) return errors::fromErrno("mkdir " + subpath, errno);
    // The umask does not count, and the group of a volume's owner is inherited.
    UniqueFd made(::openat(dir.get(), std::string(part).c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (made) {
      ::fchmod(made.get(), st.st_mode & 07777);
      (void)!::fchown(made.get(), st.st_uid, st.st_gid);
    }
  }
  return {};
}

}  // namespace

Result<std::string> bindSubpath(const std::string& volume, const std::string& subpath, const std::string& holder, bool readOnlyVolume) {
  if (subpath.starts_with("/")) return errors::failed(fmt::format("error SubPath `{}` must not be an absolute path", subpath));
  for (std::string_view part : split(subpath, '/')) {
    if (part == "..") return errors::failed(fmt::format("unable to provision SubPath `{}`: must not contain '..'", subpath));
  }
  UniqueFd root(::open(volume.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root) return errors::fromErrno("open " + volume, errno);
  UniqueFd part = openBelow(root.get(), subpath, O_PATH);
  if (!part && errno == ENOENT && !readOnlyVolume) {
    KM_TRY(makeBelow(root.get(), subpath));
    part = openBelow(root.get(), subpath, O_PATH);
  }
  if (!part) return errors::fromErrno(fmt::format("failed to prepare subPath for volumeMount \"{}\"", subpath), errno);
  struct stat st{};
  if (::fstat(part.get(), &st) != 0) return errors::fromErrno("stat " + subpath, errno);
  unmountBelow(holder);
  std::error_code ignored;
  std::filesystem::remove(holder, ignored);
  KM_TRY(makeDirs(holder.substr(0, holder.rfind('/')), 0750));
  if (S_ISDIR(st.st_mode)) {
    KM_TRY(makeDirs(holder, 0750));
  } else {
    KM_ASSIGN(UniqueFd file, openFile(holder, O_CREAT | O_WRONLY, 0640));
  }
  std::string source = fmt::format("/proc/self/fd/{}", part.get());
  if (::mount(source.c_str(), holder.c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0) return errors::fromErrno("bind " + subpath, errno);
  return holder;
}

void unmountBelow(const std::string& path) {
  auto mounts = readFile("/proc/self/mountinfo");
  if (!mounts.ok()) return;
  std::vector<std::string> found;
  for (std::string_view line : split(*mounts, '\n')) {
    auto words = split(line, ' ');
    if (words.size() < 5) continue;
    std::string at = replaceAll(words[4], "\\040", " ");
    if (at == path || at.starts_with(path + "/")) found.push_back(std::move(at));
  }
  std::reverse(found.begin(), found.end());
  for (const auto& at : found) ::umount2(at.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW);
}

void releaseSubpaths(const std::string& directory) {
  unmountBelow(directory);
  std::error_code ignored;
  std::filesystem::remove_all(directory, ignored);
}

}  // namespace km::kubelet
