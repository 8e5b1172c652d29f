#include "km/containerd.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <csignal>
#include <future>

#include "async/process.h"
#include "base/files.h"
#include "base/log.h"
#include "base/unique_fd.h"

namespace km {
namespace {

constexpr int kStartMillis = 20'000;
constexpr auto kRestartAfter = std::chrono::seconds(1);

std::string configText(const ContainerdOptions& o) {
  // restrict_oom_score_adj and disable_apparmor: a machine may lack the capability and the module.
  return fmt::format(R"(version = 2
root = "{0}/root"
state = "{0}/state"
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing"]
oom_score = 0

[grpc]
  address = "{0}/containerd.sock"

[ttrpc]
  address = "{0}/containerd.sock.ttrpc"

[plugins."io.containerd.internal.v1.opt"]
  path = "{0}/opt"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{1}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"

[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "overlayfs"
  default_runtime_name = "runc"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  SystemdCgroup = false

[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "{2}"
  conf_dir = "{3}"
)",
                     o.directory, o.sandboxImage, o.cniBinDir, o.cniConfDir);
}

bool answers(const std::string& socket) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un a{};
  a.sun_family = AF_UNIX;
  if (socket.size() >= sizeof a.sun_path) return false;
  socket.copy(a.sun_path, socket.size());
  return ::connect(fd.get(), reinterpret_cast<sockaddr*>(&a), sizeof a) == 0;
}

// Waits for the socket to appear and take connections: by inotify, since containerd makes it when it is ready
// to serve.
bool waitForSocket(const std::string& directory, const std::string& socket) {
  UniqueFd watch(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  ::inotify_add_watch(watch.get(), directory.c_str(), IN_CREATE | IN_ATTRIB | IN_MOVED_TO);
  auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(kStartMillis);
  while (!answers(socket)) {
    auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now()).count();
    if (left <= 0) return false;
    pollfd p{watch.get(), POLLIN, 0};
    // Between the making of the socket and listen() nothing is told: look again soon.
    ::poll(&p, 1, static_cast<int>(std::min<int64_t>(left, 100)));
    char buffer[4096];
    while (::read(watch.get(), buffer, sizeof buffer) > 0) {
    }
  }
  return true;
}

int pidOf(const std::string& directory) {
  auto text = readFile(directory + "/pid");
  if (!text.ok()) return 0;
  int pid = std::atoi(text->c_str());
  if (pid <= 0) return 0;
  // The number may be another process's by now.
  auto comm = readFile(fmt::format("/proc/{}/comm", pid));
  auto line = readFile(fmt::format("/proc/{}/cmdline", pid));
  bool ours =
      comm.ok() && comm->starts_with("containerd") && line.ok() && line->find(directory) != std::string::npos;
  return ours ? pid : 0;
}

}  // namespace

struct Containerd::State : std::enable_shared_from_this<State> {
  State(async::Loop& loop, ContainerdOptions o) : loop(loop), options(std::move(o)) {}

  // On the loop.
  Status spawn() {
    std::string log = options.directory + "/containerd.log";
    UniqueFd out(::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    async::ProcessSpec spec;
    spec.argv = {"containerd", "--config", options.directory + "/config.toml", "--log-level", "warn"};
    spec.inheritEnv = true;
    spec.newSession = true;
    spec.fds = {{1, out.get()}, {2, out.get()}};
    std::weak_ptr<State> weak = shared_from_this();
    auto p = async::Process::spawn(loop, spec, [weak](async::ProcessExit e) {
      auto self = weak.lock();
      if (!self || self->stopped) return;
      KM_LOG(WARNING, "containerd ended (exit code {}, signal {}); starting it again", e.code, e.signal);
      self->timer = std::make_unique<async::Timer>(self->loop);
      // At once, unless it ends right after its start.
      Duration ran = std::chrono::steady_clock::now().time_since_epoch() - self->startedAt;
      self->timer->start(ran > kRestartAfter ? Duration(0) : Duration(kRestartAfter), [weak] {
        if (auto again = weak.lock(); again && !again->stopped) {
          if (Status s = again->spawn(); !s.ok())
            KM_LOG(ERROR, "containerd could not be started: {}", s.message());
        }
      });
    });
    if (!p.ok()) return p.status();
    process = std::move(*p);
    startedAt = std::chrono::steady_clock::now().time_since_epoch();
    return writeFileAtomic(options.directory + "/pid", std::to_string(process->pid()) + "\n", 0644);
  }

  // Follows a containerd that is no child of this process.
  void adopt(int pid) {
    pidfd = UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    if (pidfd.get() < 0) return;
    watch = std::make_unique<async::FdWatch>(loop, pidfd.get());
    std::weak_ptr<State> weak = shared_from_this();
    watch->onReadable([weak] {
      auto self = weak.lock();
      if (!self || self->stopped) return;
      KM_LOG(WARNING, "containerd ended; starting it again", 0);
      if (Status s = self->spawn(); !s.ok())
        KM_LOG(ERROR, "containerd could not be started: {}", s.message());
    });
  }

  async::Loop& loop;
  const ContainerdOptions options;
  std::unique_ptr<async::Process> process;
  std::unique_ptr<async::Timer> timer;
  Duration startedAt{0};
  UniqueFd pidfd;
  std::unique_ptr<async::FdWatch> watch;
  bool stopped = false;
};

Result<std::unique_ptr<Containerd>> Containerd::start(async::Loop& loop, ContainerdOptions options) {
  std::string socket = options.directory + "/containerd.sock";
  if (socket.size() > 100)
    return errors::failed(fmt::format("the data directory's path is too long for a socket: {}", socket));
  KM_TRY(makeDirs(options.directory, 0711));
  KM_TRY(writeFileAtomic(options.directory + "/config.toml", configText(options), 0600));
  auto state = std::make_shared<State>(loop, options);
  int pid = pidOf(options.directory);
  std::promise<Status> begun;
  loop.post([&] {
    if (pid != 0) {
      state->adopt(pid);
      begun.set_value({});
    } else {
      begun.set_value(state->spawn());
    }
  });
  KM_TRY(begun.get_future().get());
  if (!waitForSocket(options.directory, socket)) {
    return errors::failed(
        fmt::format("containerd does not answer on {}; see {}/containerd.log", socket, options.directory));
  }
  return std::unique_ptr<Containerd>(new Containerd(std::move(state), std::move(socket)));
}

Containerd::~Containerd() {
  // What belongs to the loop ends there.
  std::promise<void> ended;
  state_->loop.post([&] {
    state_->stopped = true;
    state_->timer.reset();
    state_->watch.reset();
    state_->process.reset();
    ended.set_value();
  });
  ended.get_future().wait();
}

Status Containerd::stop(const std::string& directory) {
  int pid = pidOf(directory);
  if (pid == 0) return {};
  UniqueFd fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (fd.get() < 0) return {};
  ::syscall(SYS_pidfd_send_signal, fd.get(), SIGTERM, nullptr, 0);
  pollfd p{fd.get(), POLLIN, 0};
  if (::poll(&p, 1, 10'000) == 0) {
    ::syscall(SYS_pidfd_send_signal, fd.get(), SIGKILL, nullptr, 0);
    ::poll(&p, 1, 5'000);
  }
  return removeFile(directory + "/pid");
}

}  // namespace km
