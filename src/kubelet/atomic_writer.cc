#include "kubelet/atomic_writer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <ctime>
#include <filesystem>
#include <set>

#include "base/clock.h"
#include "base/files.h"
#include "base/rand.h"
#include "base/strings.h"

namespace km::kubelet {
namespace {

namespace fs = std::filesystem;

Status checkPath(const std::string& path) {
  if (path.empty() || path.starts_with("/")) return errors::failed("invalid path: must be relative path: " + path);
  for (std::string_view part : split(path, '/')) {
    if (part == "..") return errors::failed("invalid path: must not contain '..': " + path);
  }
  return {};
}

mode_t modeOf(const ProjectedFile& file, bool group) {
  mode_t mode = file.mode;
  if (group) mode |= (mode & 0400) ? 0040 : 0;
  return mode;
}

bool same(const std::string& dir, const Payload& payload, bool group) {
  size_t count = 0;
  std::error_code error;
  for (auto it = fs::recursive_directory_iterator(dir, error); !error && it != fs::recursive_directory_iterator(); it.increment(error)) {
    if (it->is_directory()) continue;
    std::string relative = it->path().string().substr(dir.size() + 1);
    auto entry = payload.find(relative);
    if (entry == payload.end()) return false;
    struct stat st{};
    if (::stat(it->path().c_str(), &st) != 0 || (st.st_mode & 07777) != modeOf(entry->second, group)) return false;
    auto data = readFile(it->path().string());
    if (!data.ok() || *data != entry->second.data) return false;
    count++;
  }
  return !error && count == payload.size();
}

Status writeOne(const std::string& path, const ProjectedFile& file, std::optional<gid_t> group) {
  KM_TRY(makeDirs(path.substr(0, path.rfind('/')), 0755));
  KM_ASSIGN(UniqueFd fd, openFile(path, O_WRONLY | O_CREAT | O_TRUNC, 0600));
  KM_TRY(writeAll(fd.get(), file.data));
  if ((group || file.owner) && ::fchown(fd.get(), file.owner.value_or(-1), group.value_or(-1)) != 0) return errors::fromErrno("chown " + path, errno);
  if (::fchmod(fd.get(), modeOf(file, group.has_value())) != 0) return errors::fromErrno("chmod " + path, errno);
  return {};
}

std::string stampedName() {
  WallTime now = Clock::system().now();
  time_t t = now.seconds;
  tm utc{};
  ::gmtime_r(&t, &utc);
  return fmt::format("..{:04}_{:02}_{:02}_{:02}_{:02}_{:02}.{}", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
                     randomUint64() % 4'000'000'000u);
}

// The first parts of the paths are what stands in the target as links.
std::set<std::string> heads(const Payload& payload) {
  std::set<std::string> out;
  for (const auto& [path, file] : payload) out.insert(path.substr(0, path.find('/')));
  return out;
}

}  // namespace

Result<bool> writePayload(const std::string& target, const Payload& payload, std::optional<gid_t> group) {
  for (const auto& [path, file] : payload) KM_TRY(checkPath(path));
  std::string dataLink = target + "/..data";
  std::error_code error;
  std::string before = fs::read_symlink(dataLink, error).string();
  bool had = !error && !before.empty();
  if (had && same(target + "/" + before, payload, group.has_value())) return false;

  std::string name = stampedName(), dir = target + "/" + name;
  KM_TRY(makeDirs(dir, 0755));
  ::chmod(dir.c_str(), 0755);
  for (const auto& [path, file] : payload) {
    if (Status s = writeOne(dir + "/" + path, file, group); !s.ok()) {
      fs::remove_all(dir, error);
      return s;
    }
  }
  std::string temporary = target + "/..data_tmp";
  ::unlink(temporary.c_str());
  if (::symlink(name.c_str(), temporary.c_str()) != 0 || ::rename(temporary.c_str(), dataLink.c_str()) != 0) return errors::fromErrno("link " + dataLink, errno);
  std::set<std::string> now = heads(payload);
  for (const auto& head : now) {
    std::string link = target + "/" + head;
    if (fs::is_symlink(fs::symlink_status(link, error))) continue;
    if (::symlink(("..data/" + head).c_str(), link.c_str()) != 0 && errno != EEXIST) return errors::fromErrno("link " + link, errno);
  }
  for (const auto& e : fs::directory_iterator(target, error)) {
    std::string n = e.path().filename().string();
    if (!n.starts_with("..") && !now.contains(n)) fs::remove_all(e.path(), error);
  }
  if (had) fs::remove_all(target + "/" + before, error);
  return true;
}

}  // namespace km::kubelet
