#include "async/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "async/socket.h"

extern char** environ;

namespace km::async {

struct Process::State {
  int pid = 0;
  UniqueFd pidfd;
  bool running = true;
  std::function<void(ProcessExit)> onExit;
  std::unique_ptr<FdWatch> watch;  // after pidfd: goes first
};

namespace {

struct Actions {
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attr;
  Actions() {
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attr);
  }
  ~Actions() {
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attr);
  }
};

Status prepare(const ProcessSpec& spec, Actions& a, std::vector<UniqueFd>& held) {
  bool named[3] = {false, false, false};
  std::vector<std::pair<int, int>> high;
  for (auto [child, ours] : spec.fds) {
    // Moved out of the way first, so that no target overwrites a source.
    int copy = ::fcntl(ours, F_DUPFD_CLOEXEC, 256);
    if (copy < 0) return errors::fromErrno("cannot pass a descriptor to a child", errno);
    held.emplace_back(copy);
    high.emplace_back(child, copy);
    if (child >= 0 && child < 3) named[child] = true;
  }
  for (int i = 0; i < 3; ++i) {
    if (!named[i])
      posix_spawn_file_actions_addopen(&a.files, i, "/dev/null", i == 0 ? O_RDONLY : O_WRONLY, 0);
  }
  for (auto [child, ours] : high) posix_spawn_file_actions_adddup2(&a.files, ours, child);
  if (!spec.cwd.empty()) posix_spawn_file_actions_addchdir_np(&a.files, spec.cwd.c_str());
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  sigdelset(&all, SIGKILL);
  sigdelset(&all, SIGSTOP);
  posix_spawnattr_setsigmask(&a.attr, &none);
  posix_spawnattr_setsigdefault(&a.attr, &all);
  short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
  if (spec.newSession) flags |= POSIX_SPAWN_SETSID;
  posix_spawnattr_setflags(&a.attr, flags);
  return {};
}

rlimit fileLimit{0, 0};  // as this process found it, once it was raised

}  // namespace

void raiseFileLimit() {
  rlimit limit;
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  rlimit raised{limit.rlim_max, limit.rlim_max};
  if (::setrlimit(RLIMIT_NOFILE, &raised) == 0) fileLimit = limit;
}

Result<std::unique_ptr<Process>> Process::spawn(Loop& loop, const ProcessSpec& spec,
                                                std::function<void(ProcessExit)> onExit) {
  if (spec.argv.empty()) return errors::failed("a child process needs a program");
  Actions actions;
  std::vector<UniqueFd> held;
  KM_TRY(prepare(spec, actions, held));
  std::vector<char*> argv, env;
  for (const auto& s : spec.argv) argv.push_back(const_cast<char*>(s.c_str()));
  argv.push_back(nullptr);
  for (const auto& s : spec.env) env.push_back(const_cast<char*>(s.c_str()));
  if (spec.inheritEnv) {
    for (char** e = environ; *e != nullptr; ++e) env.push_back(*e);
  }
  env.push_back(nullptr);
  pid_t pid = 0;
  int err = posix_spawnp(&pid, argv[0], &actions.files, &actions.attr, argv.data(), env.data());
  if (err != 0) return errors::fromErrno("cannot start " + spec.argv[0], err);
  if (fileLimit.rlim_max != 0) ::prlimit(pid, RLIMIT_NOFILE, &fileLimit, nullptr);
  auto state = std::make_shared<State>();
  state->pid = pid;
  state->onExit = std::move(onExit);
  int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  if (pidfd < 0) {
    err = errno;
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    return errors::fromErrno("pidfd_open", err);
  }
  ::fcntl(pidfd, F_SETFD, FD_CLOEXEC);
  state->pidfd = UniqueFd(pidfd);
  state->watch = std::make_unique<FdWatch>(loop, pidfd);
  // A child may outlive the loop: then nobody waits for it any more.
  loop.track(state.get(), [state] { state->watch.reset(); });
  state->watch->onReadable([state, &loop] {
    loop.untrack(state.get());
    int status = 0;
    while (::waitpid(state->pid, &status, 0) < 0 && errno == EINTR) {
    }
    state->running = false;
    ProcessExit exit;
    if (WIFSIGNALED(status)) {
      exit.signal = WTERMSIG(status);
    } else {
      exit.code = WEXITSTATUS(status);
    }
    auto call = std::move(state->onExit);
    auto watch = std::move(state->watch);
    if (call) call(exit);
  });
  auto process = std::make_unique<Process>();
  process->state_ = std::move(state);
  return process;
}

Process::~Process() {
  if (state_) state_->onExit = nullptr;
}
int Process::pid() const {
  return state_->pid;
}
bool Process::running() const {
  return state_->running;
}

Status Process::kill(int signal) {
  if (!state_->running) return errors::failed("the process has ended");
  if (::syscall(SYS_pidfd_send_signal, state_->pidfd.get(), signal, nullptr, 0) != 0) {
    return errors::fromErrno("kill", errno);
  }
  return {};
}

}  // namespace km::async
