#include "kubelet/node_stats.h"

#include <algorithm>

#include "api/types/stats_v1alpha1.h"
#include "base/files.h"
#include "base/strings.h"
#include "codec/json.h"
#include "kubelet/cgroups.h"
#include "kubelet/resources.h"

namespace km::kubelet {
namespace {

namespace stats = api::stats_v1alpha1;

std::optional<uint64_t> number(const std::string& path) {
  auto text = readFile(path);
  return text.ok() ? parseUint64(trimSpace(*text)) : std::nullopt;
}

// The number behind a word at the start of a line.
std::optional<uint64_t> field(const std::string& path, std::string_view name) {
  auto text = readFile(path);
  if (!text.ok()) return std::nullopt;
  for (std::string_view line : split(*text, '\n')) {
    auto kv = cut(line, ' ');
    if (kv && kv->first == name) return parseUint64(trimSpace(kv->second));
  }
  return std::nullopt;
}

template <typename S>
void fill(S& s, const CgroupUsage& u) {
  WallTime now = Clock::system().now();
  if (u.cpu) {
    s.cpu.ensure().time = codec::Time(now);
    s.cpu->usageCoreNanoSeconds = u.cpu;
  }
  if (u.memory) {
    s.memory.ensure().time = codec::Time(now);
    s.memory->usageBytes = u.memory;
    s.memory->workingSetBytes = u.workingSet();
    s.memory->rssBytes = u.rss;
  }
}

}  // namespace

CgroupUsage cgroupUsage(const Options& options, const std::string& group) {
  CgroupUsage u;
  if (isCgroup2(options)) {
    std::string dir = options.cgroupRoot + group;
    if (auto micros = field(dir + "/cpu.stat", "usage_usec")) u.cpu = *micros * 1000;
    u.memory = number(dir + "/memory.current");
    u.inactive = field(dir + "/memory.stat", "inactive_file");
    u.rss = field(dir + "/memory.stat", "anon");
  } else {
    u.cpu = number(options.cgroupRoot + "/cpuacct" + group + "/cpuacct.usage");
    u.memory = number(options.cgroupRoot + "/memory" + group + "/memory.usage_in_bytes");
    u.inactive = field(options.cgroupRoot + "/memory" + group + "/memory.stat", "total_inactive_file");
    u.rss = field(options.cgroupRoot + "/memory" + group + "/memory.stat", "total_rss");
  }
  return u;
}

std::string statsSummary(const Options& options, const std::vector<PodPtr>& pods) {
  stats::Summary out;
  out.node.nodeName = options.nodeName;
  fill(out.node, cgroupUsage(options, ""));
  for (const auto& pod : pods) {
    stats::PodStats& p = out.pods.add();
    p.podRef.name = pod->metadata.name;
    p.podRef.namespace_ = pod->metadata.namespace_;
    p.podRef.uid = pod->metadata.uid;
    if (pod->status.startTime) p.startTime = *pod->status.startTime;
    std::string group = cgroupParent(*pod);
    fill(p, cgroupUsage(options, group));
    for (const auto& c : pod->status.containerStatuses) {
      if (!c.state.running) continue;
      stats::ContainerStats& s = p.containers.add();
      s.name = c.name;
      s.startTime = c.state.running->startedAt;
      std::string id = c.containerID.str();
      if (size_t at = id.find("://"); at != std::string::npos) id.erase(0, at + 3);
      fill(s, cgroupUsage(options, group + "/" + id));
    }
  }
  return codec::toJson(out);
}

}  // namespace km::kubelet
