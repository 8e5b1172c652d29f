// Sockets as raw descriptors, always non-blocking and close-on-exec.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "async/loop.h"
#include "base/result.h"

namespace km::async {

// Owns a descriptor.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) reset(std::exchange(other.fd_, -1));
    return *this;
  }
  ~UniqueFd() { reset(); }
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }
  void reset(int fd = -1);
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

struct ListenOptions {
  bool reusePort = false;
  int backlog = 1024;
};

// `address` is an IPv4 or IPv6 address, "" for all (dual stack, IPv4 alone where there is no IPv6); port 0:
// any.
Result<UniqueFd> listenTcp(std::string_view address, int port, ListenOptions options = {});
// Replaces a socket file that is there. `mode` is that of the file.
Result<UniqueFd> listenUnix(const std::string& path, int mode = 0660);
// "10.0.0.1:443", "[::1]:443", or "unix:PATH" ("@" for an unnamed peer).
std::string localAddress(int fd);
std::string remoteAddress(int fd);
int localPort(int fd);  // 0 if it has none

// Accepts on the loop and hands every new socket to the callback, with TCP_NODELAY and keep-alive set. When
// descriptors run out it pauses shortly instead of spinning. Owns the listening socket; destroy it on the
// loop's thread to stop accepting.
class Acceptor {
 public:
  Acceptor(Loop& loop, UniqueFd listener, std::function<void(UniqueFd)> onAccept);
  ~Acceptor();

 private:
  struct State;
  static void drain(const std::shared_ptr<State>& state);
  std::shared_ptr<State> state_;
};

using ConnectCallback = std::function<void(Result<UniqueFd>)>;

// Connects on the loop; the callback comes on the loop's thread, never within the call. `host` may be a name
// (resolved on a helper thread; the addresses are tried in order) or an address. The whole attempt is
// given up after `timeout`.
void connectTcp(Loop& loop, const std::string& host, int port, Duration timeout, ConnectCallback callback);
void connectUnix(Loop& loop, const std::string& path, ConnectCallback callback);

// TCP_NODELAY and keep-alive: a peer that is silent for 30 seconds and then answers none of six questions, 15 seconds
// apart, is gone.
void tuneTcp(int fd);

}  // namespace km::async
