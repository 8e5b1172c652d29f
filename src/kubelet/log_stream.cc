#include "kubelet/log_stream.h"

#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/clock.h"
#include "base/unique_fd.h"

namespace km::kubelet {
namespace {

constexpr size_t kChunk = 64 << 10, kHighWatermark = 512 << 10;

// Where the last `lines` lines begin.
off_t tailOffset(int fd, int64_t lines) {
  struct stat st{};
  if (::fstat(fd, &st) != 0) return 0;
  if (lines <= 0) return st.st_size;
  off_t end = st.st_size;
  std::string buffer(kChunk, '\0');
  int64_t seen = 0;
  while (end > 0) {
    off_t from = std::max<off_t>(end - static_cast<off_t>(kChunk), 0);
    ssize_t n = ::pread(fd, buffer.data(), static_cast<size_t>(end - from), from);
    if (n <= 0) return 0;
    for (ssize_t i = n - 1; i >= 0; i--) {
      // The newline at the very end ends the last line, it begins none.
      if (buffer[static_cast<size_t>(i)] == '\n' && from + i + 1 < st.st_size && ++seen == lines) return from + i + 1;
    }
    end = from;
  }
  return 0;
}

std::optional<codec::Time> sinceOf(const LogOptions& o) {
  if (o.sinceTime) return o.sinceTime;
  if (!o.sinceSeconds) return std::nullopt;
  WallTime now = Clock::system().now();
  now.seconds -= *o.sinceSeconds;
  return codec::Time(now);
}

class Stream final : public LogStream {
 public:
  Stream(std::shared_ptr<http::Exchange> exchange, std::string path, LogOptions options, std::function<bool()> running)
      : exchange_(std::move(exchange)), path_(std::move(path)), options_(options), filter_(options, sinceOf(options)), running_(std::move(running)) {}

  void start() {
    auto self = shared_from_this();
    http::Headers h;
    h.add("content-type", "text/plain");
    exchange_->start(200, std::move(h));
    std::weak_ptr<LogStream> weak = self;
    exchange_->onDrain([weak] {
      if (auto s = weak.lock()) s->poke();
    });
    // Holds the stream until the client is gone or the answer is done.
    exchange_->onClose([self] { static_cast<Stream&>(*self).end(); });
    if (options_.follow) watch();
    open();
    poke();
  }

  void poke() override {
    if (done_) return;
    auto self = shared_from_this();
    // What is written before the end was told is read first.
    bool running = options_.follow && running_();
    if (!fd_) open();
    while (!done_ && exchange_->queued() < kHighWatermark) {
      ssize_t n = fd_ ? ::read(fd_.get(), buffer_.data(), buffer_.size()) : 0;
      if (n <= 0) {
        if (reopened()) continue;
        if (!running) finish();
        return;
      }
      std::string out;
      filter_.feed(std::string_view(buffer_.data(), static_cast<size_t>(n)), out);
      if (!out.empty()) exchange_->write(std::move(out));
      if (filter_.full()) return finish();
    }
  }
  bool finished() const override { return done_; }

 private:
  void open() {
    fd_ = UniqueFd(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd_) return;
    if (options_.tailLines && !tailed_) ::lseek(fd_.get(), tailOffset(fd_.get(), *options_.tailLines), SEEK_SET);
    tailed_ = true;
    if (inotify_) ::inotify_add_watch(inotify_.get(), path_.c_str(), IN_MODIFY);
  }
  // The log was rotated: another file stands at the path.
  bool reopened() {
    struct stat ours{}, now{};
    if (!fd_ || ::fstat(fd_.get(), &ours) != 0 || ::stat(path_.c_str(), &now) != 0 || ours.st_ino == now.st_ino) return false;
    open();
    return fd_.get() >= 0;
  }
  void watch() {
    inotify_ = UniqueFd(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    if (!inotify_) return;
    std::string dir = path_.substr(0, path_.rfind('/'));
    ::inotify_add_watch(inotify_.get(), dir.c_str(), IN_CREATE | IN_MOVED_TO);
    watch_ = std::make_unique<async::FdWatch>(exchange_->loop(), inotify_.get());
    watch_->whileReadable([weak = weak_from_this()] {
      auto s = weak.lock();
      if (!s) return;
      auto& self = static_cast<Stream&>(*s);
      char events[4096];
      while (::read(self.inotify_.get(), events, sizeof events) > 0) {
      }
      self.poke();
    });
  }
  void finish() {
    if (done_) return;
    auto exchange = exchange_;
    end();
    exchange->finish();
  }
  void end() {
    done_ = true;
    if (watch_) watch_->cancel();
    watch_.reset();
    inotify_.reset();
    fd_.reset();
  }

  std::shared_ptr<http::Exchange> exchange_;
  const std::string path_;
  const LogOptions options_;
  LogFilter filter_;
  std::function<bool()> running_;
  UniqueFd fd_, inotify_;
  std::unique_ptr<async::FdWatch> watch_;
  std::string buffer_ = std::string(kChunk, '\0');
  bool tailed_ = false, done_ = false;
};

}  // namespace

std::shared_ptr<LogStream> LogStream::begin(std::shared_ptr<http::Exchange> exchange, std::string path, LogOptions options, std::function<bool()> running) {
  auto s = std::make_shared<Stream>(std::move(exchange), std::move(path), std::move(options), std::move(running));
  s->start();
  return s;
}

}  // namespace km::kubelet
