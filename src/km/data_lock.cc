#include "km/data_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>

#include "base/files.h"

namespace km {

Result<UniqueFd> lockData(const std::string& dataDir) {
  KM_TRY(makeDirs(dataDir, 0711));
  std::string path = dataDir + "/km.pid";
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (fd.get() < 0) return errors::fromErrno(fmt::format("data directory {} cannot be written", dataDir), errno);
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    auto pid = readFile(path);
    std::string who = pid.ok() ? *pid : "?";
    while (!who.empty() && who.back() == '\n') who.pop_back();
    return errors::failed(fmt::format("data directory {} is in use by another km (pid {}); stop it with: km down --data-dir {}", dataDir, who, dataDir));
  }
  std::string text = fmt::format("{}\n", ::getpid());
  if (::ftruncate(fd.get(), 0) != 0 || ::pwrite(fd.get(), text.data(), text.size(), 0) < 0) {
    return errors::fromErrno(fmt::format("{} cannot be written", path), errno);
  }
  return fd;
}

int runningKm(const std::string& dataDir) {
  std::string path = dataDir + "/km.pid";
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0 || ::flock(fd.get(), LOCK_SH | LOCK_NB) == 0) return 0;
  auto text = readFile(path);
  return text.ok() ? std::atoi(text->c_str()) : 0;
}

std::string hostName() {
  char name[256] = {};
  ::gethostname(name, sizeof name - 1);
  std::string out(name);
  std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) { return std::tolower(c); });
  return out;
}

}  // namespace km
