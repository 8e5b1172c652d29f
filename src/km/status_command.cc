// `km status`: whether a cluster runs on the data directory. `--watch` shows it like top: what the process takes, nodes, pods, and the
// latest warnings, anew with every change.
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"
#include "base/files.h"
#include "base/flags.h"
#include "base/strings.h"
#include "base/unique_fd.h"
#include "km/api_connection.h"
#include "km/commands.h"
#include "km/data_lock.h"

namespace km {
namespace {

namespace v1 = api::core_v1;

constexpr size_t kNodes = 10, kWarnings = 8;   // lines shown of each
constexpr int kShortestMs = 250;               // between two pictures
constexpr int kLongestMs = 2000;               // the process's own figures have no events

// What the kernel says of a process.
struct Usage {
  int64_t residentKb = 0;
  int64_t ticks = 0;  // of processor time
};

std::optional<Usage> usageOf(int pid) {
  auto status = readFile(fmt::format("/proc/{}/status", pid)), stat = readFile(fmt::format("/proc/{}/stat", pid));
  if (!status.ok() || !stat.ok()) return std::nullopt;
  Usage u;
  if (size_t at = status->find("VmRSS:"); at != std::string::npos) u.residentKb = std::atol(status->c_str() + at + 6);
  // Behind the name, which may hold anything but ends with the last parenthesis: 12th and 13th word.
  auto words = split(std::string_view(*stat).substr(stat->rfind(')') + 2), ' ');
  for (size_t i : {11u, 12u}) {
    if (words.size() > i) u.ticks += parseInt64(words[i]).value_or(0);
  }
  return u;
}

int64_t bytesBelow(const std::string& directory) {
  std::error_code error;
  int64_t sum = 0;
  for (auto it = std::filesystem::recursive_directory_iterator(directory, error); !error && it != std::filesystem::end(it); it.increment(error)) {
    std::error_code gone;
    if (it->is_regular_file(gone)) sum += static_cast<int64_t>(it->file_size(gone));
  }
  return sum;
}

std::string_view conditionOf(const v1::Node& node) {
  for (const auto& c : node.status.conditions) {
    if (c.type == "Ready") return c.status == "True" ? "Ready" : "NotReady";
  }
  return "Unknown";
}

bool isReady(const v1::Pod& pod) {
  return std::any_of(pod.status.conditions.begin(), pod.status.conditions.end(),
                     [](const auto& c) { return c.type == "Ready" && c.status == "True"; });
}

class Picture {
 public:
  Picture(std::string dataDir, int pid, client::InformerFactory& informers) : dataDir_(std::move(dataDir)), pid_(pid), informers_(informers) {}

  // "" when the process is gone.
  std::string draw() {
    auto now = usageOf(pid_);
    if (!now) return "";
    auto at = std::chrono::steady_clock::now();
    double seconds = std::chrono::duration<double>(at - since_).count();
    double cpu = last_.ticks > 0 && seconds > 0 ? static_cast<double>(now->ticks - last_.ticks) / static_cast<double>(::sysconf(_SC_CLK_TCK)) / seconds : 0;
    last_ = *now;
    since_ = at;
    std::string out = fmt::format("km on {}  pid {}  {:.1f} % of a core  {} MiB resident  {:.1f} MiB stored\n\n", dataDir_, pid_, cpu * 100,
                                  now->residentKb / 1024, static_cast<double>(bytesBelow(dataDir_ + "/store")) / (1 << 20));
    addNodes(out);
    addWarnings(out);
    return out;
  }

 private:
  void addNodes(std::string& out) const {
    struct Row {
      size_t running = 0, ready = 0, other = 0;
    };
    std::map<std::string, Row, std::less<>> rows;
    Row waiting;
    for (const auto& p : informers_.lister<v1::Pod>().list()) {
      bool running = p->status.phase == "Running";
      Row& row = p->spec.nodeName.empty() ? waiting : rows[p->spec.nodeName.str()];
      (running ? row.running : row.other)++;
      row.ready += running && isReady(*p);
    }
    auto nodes = informers_.lister<v1::Node>().list();
    auto ready = std::count_if(nodes.begin(), nodes.end(), [](const auto& n) { return conditionOf(*n) == "Ready"; });
    out += fmt::format("{} nodes, {} ready; {} pods without a node\n\n{:<32} {:<10} {:>8} {:>8} {:>8}\n", nodes.size(), ready, waiting.other, "NODE",
                       "STATUS", "RUNNING", "READY", "OTHER");
    // Those with trouble first.
    std::stable_sort(nodes.begin(), nodes.end(), [](const auto& a, const auto& b) { return (conditionOf(*a) == "Ready") < (conditionOf(*b) == "Ready"); });
    for (size_t i = 0; i < std::min(nodes.size(), kNodes); i++) {
      auto it = rows.find(nodes[i]->metadata.name.view());
      Row row = it == rows.end() ? Row() : it->second;
      out += fmt::format("{:<32} {:<10} {:>8} {:>8} {:>8}\n", nodes[i]->metadata.name, conditionOf(*nodes[i]), row.running, row.ready, row.other);
    }
    if (nodes.size() > kNodes) out += fmt::format("and {} more\n", nodes.size() - kNodes);
  }

  void addWarnings(std::string& out) const {
    auto events = informers_.lister<v1::Event>().list();
    std::erase_if(events, [](const auto& e) { return e->type != "Warning"; });
    auto seen = [](const v1::Event& e) { return std::max(e.lastTimestamp.seconds, e.eventTime.seconds); };
    std::sort(events.begin(), events.end(), [&](const auto& a, const auto& b) { return seen(*a) > seen(*b); });
    if (events.empty()) return;
    out += "\nWARNINGS\n";
    for (size_t i = 0; i < std::min(events.size(), kWarnings); i++) {
      const v1::Event& e = *events[i];
      std::string line = fmt::format("{} {}/{} {}: {}", codec::Time(seen(e)).str().substr(11, 8), e.involvedObject.kind, e.involvedObject.name, e.reason,
                                     e.message);
      out += line.substr(0, std::min<size_t>(line.find('\n'), 160)) + "\n";
    }
  }

  const std::string dataDir_;
  const int pid_;
  client::InformerFactory& informers_;
  Usage last_;
  std::chrono::steady_clock::time_point since_ = std::chrono::steady_clock::now();
};

// Until the watcher interrupts, or km ends.
Status watch(ServerCall& call, const std::string& dataDir, int pid, std::string kubeconfig) {
  if (kubeconfig.empty()) kubeconfig = dataDir + "/kubeconfig";
  sigset_t wanted;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGINT);
  sigaddset(&wanted, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &wanted, nullptr);
  UniqueFd signals(::signalfd(-1, &wanted, SFD_CLOEXEC)), changes(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  KM_ASSIGN(auto api, ApiConnection::open(kubeconfig, "", "km-status"));
  auto changed = [fd = changes.get()] { ::eventfd_write(fd, 1); };
  client::Handler handler{[changed](const client::ObjectPtr&, bool) { changed(); },
                          [changed](const client::ObjectPtr&, const client::ObjectPtr&) { changed(); },
                          [changed](const client::ObjectPtr&, bool) { changed(); }};
  std::vector<std::unique_ptr<client::Registration>> handlers;
  for (const codec::TypeInfo* type : {&v1::Node::kType, &v1::Pod::kType, &v1::Event::kType}) {
    handlers.push_back(api->informers->informer(*type).addHandler(handler));
  }
  api->informers->start();
  Picture picture(dataDir, pid, *api->informers);
  bool terminal = ::isatty(STDOUT_FILENO) != 0;
  for (;;) {
    std::string text = picture.draw();
    if (text.empty()) {
      call.answer(fmt::format("km (pid {}) has ended\n", pid));
      break;
    }
    call.answer(terminal ? "\033[H\033[2J" + text : text + "\n");
    std::array<pollfd, 2> fds = {pollfd{signals.get(), POLLIN, 0}, pollfd{changes.get(), POLLIN, 0}};
    if (::poll(fds.data(), 1, kShortestMs) > 0) break;
    ::poll(fds.data(), 2, kLongestMs);
    if (fds[0].revents != 0) break;
    eventfd_t n;
    ::eventfd_read(changes.get(), &n);
  }
  handlers.clear();
  return {};
}

}  // namespace

int runStatus(ServerCall& call) {
  std::string dataDir = "/var/lib/km", kubeconfig;
  bool follow = false;
  FlagSet flags(std::string(call.server->name));
  flags.add(&dataDir, "data-dir", "The `directory` of the cluster.");
  flags.add(&kubeconfig, "kubeconfig", "The kubeconfig `file` for --watch. Default: that of the data directory.");
  flags.add(&follow, "watch", "Show the process, nodes, pods and warnings, anew with every change.").shorthand('w');
  if (auto done = parseServerFlags(call, flags)) return *done;
  int pid = runningKm(dataDir);
  auto usage = pid == 0 ? std::nullopt : usageOf(pid);
  if (!usage) {
    call.answer(fmt::format("km is not running on {}\n", dataDir));
    return 3;
  }
  if (follow) return finish(call, watch(call, dataDir, pid, kubeconfig));
  call.answer(fmt::format("km is running on {}: pid {}, {} MiB resident\nkubeconfig: {}/kubeconfig\n", dataDir, pid, usage->residentKb / 1024, dataDir));
  return 0;
}

}  // namespace km
