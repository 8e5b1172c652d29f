#include "km/reset.h"

#include <fmt/format.h>
#include <ftw.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <thread>
#include <vector>

#include "async/loop.h"
#include "base/files.h"
#include "km/bridge.h"

namespace km {
namespace {

namespace fs = std::filesystem;

// Every mount below the directory, deepest first.
void unmountBelow(const std::string& directory) {
  auto table = readFile("/proc/self/mountinfo");
  if (!table.ok()) return;
  std::vector<std::string> points;
  std::string_view rest = *table;
  while (!rest.empty()) {
    size_t end = rest.find('\n');
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    for (int i = 0; i < 4 && !line.empty(); i++) line.remove_prefix(std::min(line.size(), line.find(' ') + 1));
    std::string point(line.substr(0, line.find(' ')));
    if (point == directory || point.starts_with(directory + "/")) points.push_back(std::move(point));
  }
  std::sort(points.rbegin(), points.rend());
  for (const std::string& p : points) ::umount2(p.c_str(), MNT_DETACH);
}

// Pod cgroups that hold nobody any more.
void removeCgroups() {
  std::error_code ignored;
  for (const auto& hierarchy : fs::directory_iterator("/sys/fs/cgroup", ignored)) {
    std::string root = hierarchy.path().string() + "/kubepods";
    if (!fs::exists(root, ignored)) continue;
    ::nftw(
        root.c_str(), [](const char* path, const struct stat*, int type, FTW*) { return type == FTW_DP ? (::rmdir(path), 0) : 0; }, 16,
        FTW_DEPTH | FTW_PHYS);
  }
}

struct PodName {
  std::string ns, name, uid;
};

// A containerd that has just started refuses CRI's calls until it knows its containers again, and tells nobody when that is.
Result<std::vector<cri::PodSandbox>> sandboxesOf(cri::Runtime& runtime) {
  constexpr auto kPause = std::chrono::milliseconds(20);
  constexpr int kTries = 500;
  auto found = runtime.listPodSandbox();
  for (int i = 0; i < kTries && !found.ok() && found.status().message().find("not initialized yet") != std::string::npos; i++) {
    std::this_thread::sleep_for(kPause);
    found = runtime.listPodSandbox();
  }
  return found;
}

}  // namespace

Status resetNode(const NodeOptions& o, const std::function<void(std::string_view)>& say) {
  std::vector<PodName> pods;
  std::string directory = o.dataDir + "/containerd";
  std::error_code ignored;
  if (fs::exists(directory + "/config.toml", ignored)) {
    // Containers are ended through the runtime, which may have to be started for that.
    async::LoopGroup loops(1, "reset");
    ContainerdOptions c;
    c.directory = directory;
    c.cniConfDir = o.dataDir + "/cni/net.d";
    c.cniBinDir = o.cniBinDir;
    c.sandboxImage = "none";
    auto containerd = Containerd::start(loops.at(0), c);
    if (containerd.ok()) {
      auto runtime = cri::connectRuntime(loops.at(0), (*containerd)->socket());
      auto sandboxes = sandboxesOf(*runtime);
      if (sandboxes.ok()) {
        for (const auto& s : *sandboxes) {
          if (s.metadata) pods.push_back({s.metadata->namespace_.str(), s.metadata->name.str(), s.metadata->uid.str()});
          (void)runtime->stopPodSandbox(s.id.str());
          (void)runtime->removePodSandbox(s.id.str());
        }
        say(fmt::format("ended {} pods\n", sandboxes->size()));
      } else {
        say(fmt::format("the runtime does not tell its pods: {}\n", sandboxes.status().message()));
      }
      runtime.reset();
      containerd->reset();
    } else {
      say(fmt::format("the runtime does not start, so its containers are not ended: {}\n", containerd.status().message()));
    }
    KM_TRY(Containerd::stop(directory));
  }
  unmountBelow(o.dataDir);
  KM_TRY(proxy::Proxy::cleanup(o.tableName()));
  KM_TRY(removeLink(o.bridge));
  removeCgroups();
  for (const PodName& p : pods) {
    fs::remove_all(fmt::format("/var/log/pods/{}_{}_{}", p.ns, p.name, p.uid), ignored);
    for (const auto& link : fs::directory_iterator("/var/log/containers", ignored)) {
      if (link.path().filename().string().starts_with(fmt::format("{}_{}_", p.name, p.ns))) fs::remove(link.path(), ignored);
    }
  }
  fs::remove_all("/var/lib/cni/networks/km", ignored);
  fs::remove_all(o.dataDir, ignored);
  if (fs::exists(o.dataDir, ignored)) return errors::failed(fmt::format("{} could not be removed completely", o.dataDir));
  say(fmt::format("removed {}\n", o.dataDir));
  return {};
}

}  // namespace km
