#include "kubelet/termination_message.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include "base/files.h"
#include "base/strings.h"

namespace km::kubelet {
namespace {

constexpr size_t kMaxMessage = 4096, kMaxLogTail = 2048, kMaxLogLines = 80;

std::string readPart(const std::string& path, size_t bytes, bool fromEnd) {
  auto fd = openFile(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (!fd.ok()) return "";
  struct stat st {};
  if (::fstat(fd->get(), &st) != 0 || !S_ISREG(st.st_mode)) return "";
  std::string out(bytes, '\0');
  off_t from = fromEnd && st.st_size > static_cast<off_t>(bytes) ? st.st_size - static_cast<off_t>(bytes) : 0;
  ssize_t n = ::pread(fd->get(), out.data(), bytes, from);
  out.resize(n > 0 ? static_cast<size_t>(n) : 0);
  return out;
}

// The texts of the last lines of a CRI log.
std::string logTail(const std::string& path) {
  std::string raw = readPart(path, 64 << 10, true), out;
  std::vector<std::string> lines;
  for (std::string_view line : split(raw, '\n')) {
    size_t at = 0;
    for (int i = 0; i < 3 && at != std::string_view::npos; i++) {
      at = line.find(' ', at);
      if (at != std::string_view::npos) at++;
    }
    if (at != std::string_view::npos) lines.push_back(std::string(line.substr(at)));
  }
  size_t first = lines.size() > kMaxLogLines ? lines.size() - kMaxLogLines : 0;
  for (size_t i = first; i < lines.size(); i++) out += lines[i] + "\n";
  if (out.size() > kMaxLogTail) out.erase(0, out.size() - kMaxLogTail);
  return out;
}

std::string linkPath(const Options& options, std::string_view pod, std::string_view ns,
                     std::string_view container, std::string_view id) {
  std::string path = fmt::format("{}/{}_{}_{}-{}", options.containerLogsDir, pod, ns, container, id);
  return path + ".log";
}

}  // namespace

std::string terminationMessage(const Options& options, const ContainerRecord& r, const RuntimePod& pod) {
  std::string path = r.status.annotations.get(kTerminationPathAnnotation).str(), out;
  if (!path.empty()) {
    for (const auto& m : r.status.mounts) {
      if (m.containerPath == path) out = readPart(m.hostPath.str(), kMaxMessage, true);
    }
  }
  bool fallback = r.status.annotations.get(kTerminationPolicyAnnotation) == "FallbackToLogsOnError";
  if (out.empty() && fallback && r.status.exitCode != 0 && !r.status.logPath.empty())
    out = logTail(r.status.logPath.str());
  return out;
}

void makeLogLink(const Options& options, const v1::Pod& pod, std::string_view container,
                 const ContainerRecord& r) {
  if (options.containerLogsDir.empty() || !makeDirs(options.containerLogsDir, 0755).ok()) return;
  std::string target = r.status.logPath.empty() ? fmt::format("{}/{}/{}/{}.log", options.podLogsDir,
                                                              podLogDirectory(pod), container, r.restartCount)
                                                : r.status.logPath.str();
  std::string link = linkPath(options, pod.metadata.name, pod.metadata.namespace_, container, r.id);
  ::unlink(link.c_str());
  (void)!::symlink(target.c_str(), link.c_str());
}

void removeLogLink(const Options& options, const ContainerRecord& r) {
  if (options.containerLogsDir.empty()) return;
  const auto& l = r.status.labels;
  ::unlink(
      linkPath(options, l.get(kPodNameLabel).view(), l.get(kPodNamespaceLabel).view(), r.name, r.id).c_str());
}

}  // namespace km::kubelet
