#include "kubelet/cgroups.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <vector>

#include "base/files.h"
#include "kubelet/resources.h"

namespace km::kubelet {
namespace {

constexpr long kCgroup2Magic = 0x63677270, kCgroupMagic = 0x27e0eb;
constexpr std::string_view kControllers[] = {"cpu", "cpuacct", "cpuset", "memory", "pids", "blkio", "devices", "freezer", "hugetlb", "perf_event", "net_cls", "systemd"};

Status writeValue(const std::string& path, const std::string& value) {
  KM_ASSIGN(UniqueFd fd, openFile(path, O_WRONLY));
  if (::write(fd.get(), value.data(), value.size()) < 0) return errors::fromErrno("write " + path, errno);
  return {};
}

// The mount points of the hierarchies: one with version 2. Distinct, since cpu and cpuacct may be one mount.
std::vector<std::string> hierarchies(const Options& options) {
  if (isCgroup2(options)) return {options.cgroupRoot};
  std::vector<std::string> out;
  std::vector<dev_t> seen;
  for (std::string_view c : kControllers) {
    std::string path = options.cgroupRoot + "/" + std::string(c);
    struct statfs sf{};
    struct stat st{};
    if (::statfs(path.c_str(), &sf) != 0 || sf.f_type != kCgroupMagic || ::stat(path.c_str(), &st) != 0) continue;
    if (std::find(seen.begin(), seen.end(), st.st_dev) != seen.end()) continue;
    seen.push_back(st.st_dev);
    out.push_back(path);
  }
  return out;
}

// A new cpuset has no cpus: it takes its parent's.
void fillCpuset(const std::string& dir) {
  for (const char* name : {"/cpuset.cpus", "/cpuset.mems"}) {
    auto own = readFile(dir + name);
    if (!own.ok() || own->find_first_not_of("\n") != std::string::npos) continue;
    auto parent = readFile(dir.substr(0, dir.rfind('/')) + name);
    if (parent.ok()) (void)writeValue(dir + name, *parent);
  }
}

Status make(const Options& options, const std::string& group) {
  bool v2 = isCgroup2(options);
  for (const auto& root : hierarchies(options)) {
    std::string dir = root;
    size_t at = 1;
    while (at <= group.size()) {
      size_t end = std::min(group.find('/', at), group.size());
      if (v2) (void)writeValue(dir + "/cgroup.subtree_control", "+cpu +memory +pids +cpuset +io");
      dir += "/" + group.substr(at, end - at);
      if (::mkdir(dir.c_str(), 0755) != 0 && errno != EEXIST) return errors::fromErrno("mkdir " + dir, errno);
      fillCpuset(dir);
      at = end + 1;
    }
    if (v2) (void)writeValue(dir + "/cgroup.subtree_control", "+cpu +memory +pids +cpuset +io");
  }
  return {};
}

int64_t weightOf(int64_t shares) { return 1 + (shares - 2) * 9999 / 262142; }

Status setLimits(const Options& options, const std::string& group, const PodResources& r, bool bestEffort) {
  int64_t shares = bestEffort ? 2 : cpuShares(r.cpuRequestMilli);
  if (isCgroup2(options)) {
    std::string dir = options.cgroupRoot + group;
    KM_TRY(writeValue(dir + "/cpu.weight", std::to_string(weightOf(shares))));
    KM_TRY(writeValue(dir + "/cpu.max", r.cpuLimitMilli ? fmt::format("{} 100000", cpuQuota(r.cpuLimitMilli)) : "max 100000"));
    return writeValue(dir + "/memory.max", r.memoryLimit ? std::to_string(r.memoryLimit) : "max");
  }
  std::string cpu = options.cgroupRoot + "/cpu" + group, memory = options.cgroupRoot + "/memory" + group;
  KM_TRY(writeValue(cpu + "/cpu.shares", std::to_string(shares)));
  if (r.cpuLimitMilli) KM_TRY(writeValue(cpu + "/cpu.cfs_quota_us", std::to_string(cpuQuota(r.cpuLimitMilli))));
  if (r.memoryLimit) KM_TRY(writeValue(memory + "/memory.limit_in_bytes", std::to_string(r.memoryLimit)));
  return {};
}

// Removes the directories from the leaves up; a busy one is an error.
Status removeTree(const std::string& dir) {
  std::error_code error;
  std::vector<std::string> children;
  for (const auto& e : std::filesystem::directory_iterator(dir, error)) {
    if (e.is_directory()) children.push_back(e.path().string());
  }
  for (const auto& c : children) KM_TRY(removeTree(c));
  if (::rmdir(dir.c_str()) != 0 && errno != ENOENT) return errors::fromErrno("rmdir " + dir, errno);
  return {};
}

}  // namespace

bool isCgroup2(const Options& options) {
  struct statfs sf{};
  return ::statfs(options.cgroupRoot.c_str(), &sf) == 0 && sf.f_type == kCgroup2Magic;
}

Status ensureNodeCgroups(const Options& options) {
  if (hierarchies(options).empty()) return errors::failed("no cgroup hierarchy is mounted at " + options.cgroupRoot);
  KM_TRY(make(options, "/kubepods"));
  KM_TRY(make(options, "/kubepods/burstable"));
  KM_TRY(make(options, "/kubepods/besteffort"));
  return isCgroup2(options) ? writeValue(options.cgroupRoot + "/kubepods/besteffort/cpu.weight", "1")
                            : writeValue(options.cgroupRoot + "/cpu/kubepods/besteffort/cpu.shares", "2");
}

Status ensurePodCgroup(const Options& options, const v1::Pod& pod) {
  std::string group = cgroupParent(pod);
  std::string probe = isCgroup2(options) ? options.cgroupRoot + group : options.cgroupRoot + "/memory" + group;
  if (fileExists(probe)) return {};
  KM_TRY(make(options, group));
  return setLimits(options, group, podResources(pod), qosClass(pod) == "BestEffort");
}

Status removePodCgroup(const Options& options, std::string_view uid) {
  for (const auto& root : hierarchies(options)) {
    for (std::string_view parent : {"/kubepods/", "/kubepods/burstable/", "/kubepods/besteffort/"}) {
      std::string dir = fmt::format("{}{}pod{}", root, parent, uid);
      if (fileExists(dir)) KM_TRY(removeTree(dir));
    }
  }
  return {};
}

}  // namespace km::kubelet
