#include "dns/upstream.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include <cstring>

#include "base/rand.h"
#include "base/strings.h"

namespace km::dns {
namespace {

constexpr size_t kMostOpen = 1000;

socklen_t parseServer(const std::string& text, sockaddr_storage& out) {
  std::string host = text;
  int port = 53;
  size_t colon = text.rfind(':');
  if (text.starts_with("[")) {
    size_t end = text.find(']');
    if (end == std::string::npos) return 0;
    host = text.substr(1, end - 1);
    if (end + 1 < text.size()) port = static_cast<int>(parseUint64(text.substr(end + 2)).value_or(0));
  } else if (colon != std::string::npos && text.find(':') == colon) {
    host = text.substr(0, colon);
    port = static_cast<int>(parseUint64(text.substr(colon + 1)).value_or(0));
  }
  std::memset(&out, 0, sizeof out);
  auto* v4 = reinterpret_cast<sockaddr_in*>(&out);
  if (inet_pton(AF_INET, host.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(static_cast<uint16_t>(port));
    return sizeof *v4;
  }
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&out);
  if (inet_pton(AF_INET6, host.c_str(), &v6->sin6_addr) != 1) return 0;
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons(static_cast<uint16_t>(port));
  return sizeof *v6;
}

}  // namespace

std::vector<std::string> nameServers(std::string_view resolvConf) {
  std::vector<std::string> out;
  for (std::string_view line : split(resolvConf, '\n')) {
    line = trimSpace(line);
    if (!line.starts_with("nameserver") || line.size() < 12) continue;
    std::string address(trimSpace(line.substr(10)));
    out.push_back(contains(address, ":") ? "[" + address + "]" : address);
  }
  return out;
}

struct Upstream::Exchange {
  std::string packet;
  Done done;
  uint16_t id = 0;  // random for each exchange, on a socket of its own: answers are hard to forge
  size_t next = 0;
  async::UniqueFd fd;
  std::unique_ptr<async::FdWatch> watch;
  std::unique_ptr<async::Timer> timer;
};

Upstream::Upstream(async::Loop& loop, std::vector<std::string> servers, Duration timeout)
    : loop_(loop), servers_(std::move(servers)), timeout_(timeout) {}
Upstream::~Upstream() = default;

void Upstream::ask(std::string packet, Done done) {
  auto x = std::make_shared<Exchange>();
  x->packet = std::move(packet);
  x->done = std::move(done);
  x->timer = std::make_unique<async::Timer>(loop_);
  bool refuse = open_.size() >= kMostOpen || x->packet.size() < 12;
  open_[x.get()] = x;
  if (refuse) x->next = servers_.size();
  x->timer->start(Duration(0), [this, x = x.get()] { tryNext(open_.at(x)); });
}

void Upstream::tryNext(const std::shared_ptr<Exchange>& given) {
  std::shared_ptr<Exchange> x = given;
  x->watch.reset();
  x->fd.reset();
  if (x->next >= servers_.size()) return finish(x, "");
  sockaddr_storage address;
  socklen_t size = parseServer(servers_[x->next++], address);
  x->timer->start(timeout_, [this, x = x.get()] { tryNext(open_.at(x)); });
  if (size == 0) return x->timer->start(Duration(0), [this, x = x.get()] { tryNext(open_.at(x)); });
  x->fd.reset(socket(address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  x->id = static_cast<uint16_t>(randomUint64());
  std::string out = x->packet;
  out[0] = static_cast<char>(x->id >> 8);
  out[1] = static_cast<char>(x->id);
  // Connected: datagrams of others are not received.
  if (!x->fd || connect(x->fd.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      send(x->fd.get(), out.data(), out.size(), 0) < 0) {
    return x->timer->start(Duration(0), [this, x = x.get()] { tryNext(open_.at(x)); });
  }
  x->watch = std::make_unique<async::FdWatch>(loop_, x->fd.get());
  x->watch->whileReadable([this, p = x.get()] {
    std::shared_ptr<Exchange> x = open_.at(p);
    std::string in(65535, '\0');
    ssize_t n = recv(x->fd.get(), in.data(), in.size(), 0);
    if (n < 0) {
      if (errno != EAGAIN && errno != EINTR) tryNext(x);  // refused: the next server, at once
      return;
    }
    bool ours = n >= 12 && static_cast<uint8_t>(in[0]) == x->id >> 8 && static_cast<uint8_t>(in[1]) == (x->id & 255) &&
                (in[2] & 0x80) != 0;
    if (!ours) return;
    in.resize(static_cast<size_t>(n));
    in[0] = x->packet[0];
    in[1] = x->packet[1];
    finish(x, std::move(in));
  });
}

void Upstream::finish(const std::shared_ptr<Exchange>& given, std::string answer) {
  std::shared_ptr<Exchange> x = given;
  open_.erase(x.get());
  x->watch.reset();
  x->timer->cancel();
  // The exchange may end within its own timer's or watch's callback: it is let go a turn later.
  loop_.defer([x] {});
  x->done(std::move(answer));
}

}  // namespace km::dns
