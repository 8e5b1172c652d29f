#include "async/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace km::async {

void UniqueFd::reset(int fd) {
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

namespace {

struct Address {
  sockaddr_storage storage{};
  socklen_t length = 0;
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

bool parseNumeric(std::string_view text, int port, Address& out) {
  std::string host(text);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  auto* v4 = reinterpret_cast<sockaddr_in*>(&out.storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&out.storage);
  if (inet_pton(AF_INET, host.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    out.length = sizeof(sockaddr_in);
    return true;
  }
  if (inet_pton(AF_INET6, host.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    out.length = sizeof(sockaddr_in6);
    return true;
  }
  return false;
}

Result<UniqueFd> listenOn(Address& address, const ListenOptions& options, bool dualStack) {
  UniqueFd fd(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return errors::fromErrno("socket", errno);
  int on = 1, off = 0;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (options.reusePort) ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  if (address.storage.ss_family == AF_INET6) {
    ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, dualStack ? &off : &on, sizeof on);
  }
  if (::bind(fd.get(), address.get(), address.length) != 0) return errors::fromErrno("bind", errno);
  if (::listen(fd.get(), options.backlog) != 0) return errors::fromErrno("listen", errno);
  return fd;
}

std::string format(const sockaddr_storage& storage, socklen_t length) {
  char text[INET6_ADDRSTRLEN] = "";
  if (storage.ss_family == AF_INET) {
    auto* a = reinterpret_cast<const sockaddr_in*>(&storage);
    inet_ntop(AF_INET, &a->sin_addr, text, sizeof text);
    return std::string(text) + ":" + std::to_string(ntohs(a->sin_port));
  }
  if (storage.ss_family == AF_INET6) {
    auto* a = reinterpret_cast<const sockaddr_in6*>(&storage);
    if (IN6_IS_ADDR_V4MAPPED(&a->sin6_addr)) {
      inet_ntop(AF_INET, a->sin6_addr.s6_addr + 12, text, sizeof text);
      return std::string(text) + ":" + std::to_string(ntohs(a->sin6_port));
    }
    inet_ntop(AF_INET6, &a->sin6_addr, text, sizeof text);
    return "[" + std::string(text) + "]:" + std::to_string(ntohs(a->sin6_port));
  }
  if (storage.ss_family == AF_UNIX) {
    auto* a = reinterpret_cast<const sockaddr_un*>(&storage);
    if (length <= offsetof(sockaddr_un, sun_path) || a->sun_path[0] == 0) return "@";
    return "unix:" + std::string(a->sun_path);
  }
  return "";
}

}  // namespace

Result<UniqueFd> listenTcp(std::string_view address, int port, ListenOptions options) {
  Address parsed;
  if (address.empty()) {
    if (!parseNumeric("::", port, parsed)) return errors::failed("no address to listen on");
    auto dual = listenOn(parsed, options, true);
    if (dual.ok()) return dual;
    Address v4;
    parseNumeric("0.0.0.0", port, v4);
    return listenOn(v4, options, false);
  }
  if (!parseNumeric(address, port, parsed))
    return errors::failed("not an IP address: " + std::string(address));
  auto made = listenOn(parsed, options, false);
  if (!made.ok()) {
    return errors::failed("cannot listen on " + format(parsed.storage, parsed.length) + ": " +
                          made.status().message());
  }
  return made;
}

namespace {
Result<Address> unixAddress(const std::string& path) {
  Address address;
  auto* a = reinterpret_cast<sockaddr_un*>(&address.storage);
  if (path.size() >= sizeof a->sun_path) return errors::failed("socket path is too long: " + path);
  a->sun_family = AF_UNIX;
  memcpy(a->sun_path, path.c_str(), path.size() + 1);
  address.length = sizeof(sockaddr_un);
  return address;
}
}  // namespace

Result<UniqueFd> listenUnix(const std::string& path, int mode) {
  KM_ASSIGN(Address address, unixAddress(path));
  struct stat st;
  if (::lstat(path.c_str(), &st) == 0 && S_ISSOCK(st.st_mode)) ::unlink(path.c_str());
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return errors::fromErrno("socket", errno);
  if (::bind(fd.get(), address.get(), address.length) != 0) return errors::fromErrno("bind " + path, errno);
  if (::chmod(path.c_str(), mode) != 0) return errors::fromErrno("chmod " + path, errno);
  if (::listen(fd.get(), 1024) != 0) return errors::fromErrno("listen " + path, errno);
  return fd;
}

std::string localAddress(int fd) {
  Address a;
  a.length = sizeof a.storage;
  if (::getsockname(fd, a.get(), &a.length) != 0) return "";
  return format(a.storage, a.length);
}

std::string remoteAddress(int fd) {
  Address a;
  a.length = sizeof a.storage;
  if (::getpeername(fd, a.get(), &a.length) != 0) return "";
  return format(a.storage, a.length);
}

int localPort(int fd) {
  Address a;
  a.length = sizeof a.storage;
  if (::getsockname(fd, a.get(), &a.length) != 0) return 0;
  if (a.storage.ss_family == AF_INET) return ntohs(reinterpret_cast<sockaddr_in*>(&a.storage)->sin_port);
  if (a.storage.ss_family == AF_INET6) return ntohs(reinterpret_cast<sockaddr_in6*>(&a.storage)->sin6_port);
  return 0;
}

void tuneTcp(int fd) {
  int on = 1, idle = 30, apart = 15, questions = 6;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &apart, sizeof apart);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &questions, sizeof questions);
}

struct Acceptor::State {
  State(Loop& loop, UniqueFd listener)
      : listener(std::move(listener)), watch(loop, this->listener.get()), pause(loop) {}
  UniqueFd listener;
  FdWatch watch;
  Timer pause;
  std::function<void(UniqueFd)> onAccept;
};

Acceptor::Acceptor(Loop& loop, UniqueFd listener, std::function<void(UniqueFd)> onAccept)
    : state_(std::make_shared<State>(loop, std::move(listener))) {
  state_->onAccept = std::move(onAccept);
  std::weak_ptr<State> weak = state_;
  state_->watch.onReadable([weak] {
    if (auto state = weak.lock()) drain(state);
  });
}

Acceptor::~Acceptor() {
  state_->onAccept = nullptr;
}

void Acceptor::drain(const std::shared_ptr<State>& state) {
  std::weak_ptr<State> weak = state;
  auto again = [weak] {
    if (auto s = weak.lock()) drain(s);
  };
  for (int i = 0; i < 64 && state->onAccept; ++i) {
    UniqueFd fd(::accept4(state->listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd) {
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        state->pause.start(std::chrono::milliseconds(50), again);
        return;
      }
      if (errno == EAGAIN || errno == EWOULDBLOCK) break;
      continue;  // the peer gave up meanwhile
    }
    tuneTcp(fd.get());
    auto call = state->onAccept;
    call(std::move(fd));
  }
  if (state->onAccept) state->watch.onReadable(again);
}

namespace {

// One attempt after another over the addresses of a host.
struct Connecting : std::enable_shared_from_this<Connecting> {
  explicit Connecting(Loop& loop) : loop(loop), timer(loop) {}
  Loop& loop;
  std::vector<Address> addresses;
  size_t next = 0;
  UniqueFd fd;
  std::unique_ptr<FdWatch> watch;
  Timer timer;
  ConnectCallback callback;
  std::string what;
  bool done = false;

  void finish(Result<UniqueFd> result) {
    if (done) return;
    done = true;
    loop.untrack(this);
    watch.reset();
    timer.cancel();
    auto call = std::move(callback);
    call(std::move(result));
  }

  void attempt(int lastError) {
    if (done) return;
    watch.reset();
    if (next == addresses.size()) {
      finish(errors::fromErrno("dial " + what, lastError));
      return;
    }
    Address& address = addresses[next++];
    fd = UniqueFd(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd) return attempt(errno);
    if (address.storage.ss_family != AF_UNIX) tuneTcp(fd.get());
    if (::connect(fd.get(), address.get(), address.length) == 0) return finish(std::move(fd));
    if (errno != EINPROGRESS) return attempt(errno);
    watch = std::make_unique<FdWatch>(loop, fd.get());
    watch->onWritable([self = shared_from_this()] {
      int err = 0;
      socklen_t size = sizeof err;
      ::getsockopt(self->fd.get(), SOL_SOCKET, SO_ERROR, &err, &size);
      if (err != 0) return self->attempt(err);
      self->watch.reset();
      self->finish(std::move(self->fd));
    });
  }

  void begin(Duration timeout) {
    loop.post([self = shared_from_this(), timeout] {
      std::weak_ptr<Connecting> weak = self;
      self->timer.start(timeout, [weak] {
        if (auto s = weak.lock()) s->finish(errors::failed("dial " + s->what + ": i/o timeout"));
      });
      self->loop.track(self.get(), [weak] {
        auto s = weak.lock();
        if (!s) return;
        s->done = true;
        s->watch.reset();
      });
      self->attempt(ECONNREFUSED);
    });
  }
};

}  // namespace

void resolveInBackground(std::function<void()> work);  // resolver.cc

void connectTcp(Loop& loop, const std::string& host, int port, Duration timeout, ConnectCallback callback) {
  std::string what = "tcp " + host + ":" + std::to_string(port);
  Address numeric;
  if (parseNumeric(host, port, numeric)) {
    auto c = std::make_shared<Connecting>(loop);
    c->callback = std::move(callback);
    c->what = what;
    c->addresses.push_back(numeric);
    c->begin(timeout);
    return;
  }
  // The loop may end during the look-up, so what belongs to it is made afterwards only.
  resolveInBackground(
      [handle = loop.handle(), &loop, host, port, timeout, what, callback = std::move(callback)] {
        addrinfo hints{}, *found = nullptr;
        hints.ai_socktype = SOCK_STREAM;
        hints.ai_flags = AI_ADDRCONFIG;
        int rc = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
        if (rc != 0) {
          std::string why = "lookup " + host + ": " + gai_strerror(rc);
          handle->post([callback, why] { callback(errors::failed(why)); });
          return;
        }
        std::vector<Address> addresses;
        for (addrinfo* a = found; a != nullptr; a = a->ai_next) {
          Address address;
          memcpy(&address.storage, a->ai_addr, a->ai_addrlen);
          address.length = a->ai_addrlen;
          addresses.push_back(address);
        }
        ::freeaddrinfo(found);
        handle->post([&loop, addresses, what, timeout, callback] {
          auto c = std::make_shared<Connecting>(loop);
          c->callback = callback;
          c->what = what;
          c->addresses = addresses;
          c->begin(timeout);
        });
      });
}

void connectUnix(Loop& loop, const std::string& path, ConnectCallback callback) {
  auto c = std::make_shared<Connecting>(loop);
  c->callback = std::move(callback);
  c->what = "unix " + path;
  auto address = unixAddress(path);
  if (!address.ok()) {
    loop.post([c, why = address.status()] { c->finish(why); });
    return;
  }
  c->addresses.push_back(*address);
  c->begin(std::chrono::seconds(10));
}

}  // namespace km::async
