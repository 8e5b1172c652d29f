#include "async/file_watch.h"

#include <errno.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <mutex>
#include <set>

#include "async/socket.h"
#include "base/log.h"

namespace km::async {
namespace {

// So that a certificate and its key, written one after the other, are mostly read together.
constexpr Duration kSettle = std::chrono::milliseconds(100);
constexpr Duration kLook = std::chrono::minutes(1);

std::string fingerprint(const std::vector<std::string>& paths) {
  std::string out;
  for (const std::string& path : paths) {
    struct stat s {};
    if (::stat(path.c_str(), &s) != 0) s = {};
    for (auto n : {static_cast<int64_t>(s.st_ino), static_cast<int64_t>(s.st_size), static_cast<int64_t>(s.st_mtim.tv_sec),
                   static_cast<int64_t>(s.st_mtim.tv_nsec)}) {
      out += std::to_string(n) + " ";
    }
  }
  return out;
}

}  // namespace

struct FileWatch::State : std::enable_shared_from_this<State> {
  State(Loop& loop, std::vector<std::string> paths, std::function<void()> changed)
      : loop(loop), paths(std::move(paths)), changed(std::move(changed)), known(fingerprint(this->paths)) {}

  Loop& loop;
  const std::vector<std::string> paths;
  const std::function<void()> changed;
  std::string known;
  std::mutex calling;  // held during a call of `changed`
  bool ended = false;  // guarded by calling
  // Of the loop.
  UniqueFd inotify;
  std::unique_ptr<FdWatch> watch;
  std::unique_ptr<Timer> settle, regular;

  void begin() {
    inotify = UniqueFd(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    std::weak_ptr<State> weak = weak_from_this();
    if (inotify) {
      addDirectories();
      watch = std::make_unique<FdWatch>(loop, inotify.get());
      watch->whileReadable([weak] {
        if (auto self = weak.lock()) self->told();
      });
    }
    settle = std::make_unique<Timer>(loop);
    regular = std::make_unique<Timer>(loop);
    look();
    lookRegularly();
  }

  void addDirectories() {
    std::set<std::string> directories;
    for (const std::string& path : paths) {
      std::error_code error;
      directories.insert(std::filesystem::absolute(path, error).parent_path());
      if (auto real = std::filesystem::canonical(path, error); !error) directories.insert(real.parent_path());
    }
    for (const std::string& d : directories) ::inotify_add_watch(inotify.get(), d.c_str(), IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_DELETE);
  }

  void told() {
    alignas(inotify_event) char events[4096];
    while (::read(inotify.get(), events, sizeof events) > 0) {
    }
    if (settle->armed()) return;
    settle->start(kSettle, [weak = weak_from_this()] {
      if (auto self = weak.lock()) self->look();
    });
  }

  void look() {
    std::string now = fingerprint(paths);
    if (now == known) return;
    known = std::move(now);
    if (inotify) addDirectories();  // links may lead elsewhere now
    std::lock_guard lock(calling);
    if (!ended) changed();
  }

  void lookRegularly() {
    regular->start(kLook, [weak = weak_from_this()] {
      auto self = weak.lock();
      if (!self) return;
      self->look();
      self->lookRegularly();
    });
  }

  void close() {
    watch.reset();
    settle.reset();
    regular.reset();
    inotify.reset();
  }
};

FileWatch::FileWatch(Loop& loop, std::vector<std::string> paths, std::function<void()> changed) {
  std::erase(paths, "");
  state_ = std::make_shared<State>(loop, std::move(paths), std::move(changed));
  loop.dispatch([state = state_] { state->begin(); });
}

FileWatch::~FileWatch() {
  if (state_->loop.inThread()) {
    state_->ended = true;
    state_->close();
    return;
  }
  {
    std::lock_guard lock(state_->calling);
    state_->ended = true;
  }
  state_->loop.post([state = std::move(state_)] { state->close(); });
}

namespace {

template <typename Options>
std::unique_ptr<FileWatch> renew(Loop& loop, std::shared_ptr<TlsContext> context, const Options& options, const std::string& authority,
                                 std::function<void()> renewed) {
  // A text that is given is used instead of the file.
  std::vector<std::string> paths;
  if (options.certificatePem.empty()) paths.push_back(options.certificateFile);
  if (options.keyPem.empty()) paths.push_back(options.keyFile);
  paths.push_back(authority);
  std::erase(paths, "");
  if (paths.empty()) return nullptr;
  return std::make_unique<FileWatch>(loop, paths, [context = std::move(context), options, first = paths[0], renewed = std::move(renewed)] {
    Status s = context->reload(options);
    if (!s.ok()) {
      KM_LOG(WARNING, "{} and what belongs to it cannot be used, the former settings stay: {}", first, s.message());
      return;
    }
    logInfo("Reloaded TLS files", {{"file", first}});
    if (renewed) renewed();
  });
}

}  // namespace

std::unique_ptr<FileWatch> renewFromFiles(Loop& loop, std::shared_ptr<TlsContext> context, const TlsServerOptions& options,
                                          std::function<void()> renewed) {
  return renew(loop, std::move(context), options, options.clientCaPem.empty() ? options.clientCaFile : "", std::move(renewed));
}

std::unique_ptr<FileWatch> renewFromFiles(Loop& loop, std::shared_ptr<TlsContext> context, const TlsClientOptions& options,
                                          std::function<void()> renewed) {
  return renew(loop, std::move(context), options, options.caPem.empty() ? options.caFile : "", std::move(renewed));
}

}  // namespace km::async
