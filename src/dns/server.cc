#include "dns/server.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <ctime>
#include <mutex>
#include <set>

#include "api/types/core_v1.h"
#include "api/types/discovery_v1.h"
#include "async/connection.h"
#include "base/files.h"
#include "base/log.h"
#include "base/strings.h"
#include "dns/packet.h"
#include "dns/upstream.h"
#include "dns/zone.h"

namespace km::dns {
namespace {

constexpr Duration kIdle = std::chrono::seconds(10);

Result<async::UniqueFd> bindUdp(const std::string& address, int port) {
  bool v4 = contains(address, ".");
  async::UniqueFd fd(socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  bool any = address.empty();
  if (any && !fd) fd.reset(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)), v4 = true;
  if (!fd) return errors::fromErrno("dns: socket", errno);
  sockaddr_in a4{};
  sockaddr_in6 a6{};
  a4.sin_family = AF_INET;
  a6.sin6_family = AF_INET6;
  a4.sin_port = a6.sin6_port = htons(static_cast<uint16_t>(port));
  if (!any && inet_pton(v4 ? AF_INET : AF_INET6, address.c_str(),
                        v4 ? static_cast<void*>(&a4.sin_addr) : &a6.sin6_addr) != 1) {
    return errors::failed("dns: " + quote(address) + " is no address to listen on");
  }
  int both = any ? 0 : 1;
  if (!v4) setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &both, sizeof both);
  auto* where = v4 ? reinterpret_cast<sockaddr*>(&a4) : reinterpret_cast<sockaddr*>(&a6);
  if (bind(fd.get(), where, v4 ? sizeof a4 : sizeof a6) != 0) {
    return errors::fromErrno("dns: listen on UDP " + address + " port " + std::to_string(port), errno);
  }
  return fd;
}

}  // namespace

using Reply = std::function<void(std::string)>;

struct Server::Core : std::enable_shared_from_this<Core> {
  Core(Options given, client::InformerFactory& informers, async::Loop& l)
      : options(std::move(given)), services(informers.of<api::core_v1::Service>()),
        slices(informers.of<api::discovery_v1::EndpointSlice>()), zone(options.clusterDomain, services, slices), loop(l) {}

  Options options;
  client::SharedInformer& services;
  client::SharedInformer& slices;
  Zone zone;
  async::Loop& loop;
  std::atomic<int> port{0};
  // On the loop only.
  struct Udp {
    async::UniqueFd fd;
    std::unique_ptr<async::FdWatch> watch;
  };
  std::vector<std::unique_ptr<Udp>> udp;
  std::vector<std::unique_ptr<async::Acceptor>> tcp;
  std::set<std::shared_ptr<async::Connection>> connections;
  std::unique_ptr<Upstream> upstream;

  // The answer to one message; `reply` is called at most once, now or later.
  void handle(std::string_view packet, bool overTcp, Reply reply) {
    auto q = parseQuestion(packet);
    if (!q) return reply(writeError(packet, kFormErr));
    size_t limit = overTcp ? 65535 : q->udpSize;
    auto plain = [&](Rcode rcode) { reply(writeAnswer(*q, Answer{rcode, false, {}, {}, {}}, limit)); };
    if (q->opcode != 0) return plain(kNotImp);
    if (q->klass != 1) return plain(kRefused);
    std::optional<Answer> a = zone.answer(*q, static_cast<uint32_t>(std::time(nullptr)));
    if (!a) {
      if (!q->recursionDesired) return plain(kRefused);
      return upstream->ask(std::string(packet), [q = *q, limit, reply](std::string answer) {
        if (answer.empty()) answer = writeAnswer(q, Answer{kServFail, false, {}, {}, {}}, limit);
        if (answer.size() > limit) answer = truncated(q);
        reply(std::move(answer));
      });
    }
    if (!services.hasSynced() || !slices.hasSynced()) return plain(kServFail);
    bool follow = a->answers.size() == 1 && a->answers[0].type == kCname && (q->type == kA || q->type == kAaaa);
    if (!follow) return reply(writeAnswer(*q, *a, limit));
    followAlias(*q, std::move(*a), limit, std::move(reply));
  }

  static std::string truncated(const Question& q) {
    std::string out = writeAnswer(q, Answer{}, 65535);
    out[2] |= 2;
    return out;
  }

  // An ExternalName's alias with the addresses behind it, as stub resolvers expect.
  void followAlias(const Question& q, Answer a, size_t limit, Reply reply) {
    std::string target = aliasName(a.answers[0].data);
    Question next = q;
    next.name = target;
    next.wire = wireName(target);
    next.edns = false;
    if (auto ours = zone.answer(next, 0)) {
      for (Record& r : ours->answers) a.answers.push_back(std::move(r));
      return reply(writeAnswer(q, a, limit));
    }
    std::string packet = writeAnswer(next, Answer{}, 512);
    packet[2] = 1;  // a question that wants recursion
    packet[3] = 0;
    upstream->ask(std::move(packet), [q, a, limit, reply, target](std::string answer) mutable {
      for (Record& r : addressRecords(answer, q.type, target)) a.answers.push_back(std::move(r));
      reply(writeAnswer(q, a, limit));
    });
  }

  void readUdp(Udp& u) {
    for (int i = 0; i < 64; ++i) {  // then others have their turn
      char bytes[4096];
      sockaddr_storage from{};
      socklen_t size = sizeof from;
      ssize_t n = recvfrom(u.fd.get(), bytes, sizeof bytes, 0, reinterpret_cast<sockaddr*>(&from), &size);
      if (n < 0) return;
      std::weak_ptr<Core> weak = weak_from_this();
      Udp* socket = &u;
      handle({bytes, static_cast<size_t>(n)}, false, [weak, socket, from, size](std::string answer) {
        if (answer.empty() || weak.expired()) return;
        (void)sendto(socket->fd.get(), answer.data(), answer.size(), 0, reinterpret_cast<const sockaddr*>(&from), size);
      });
    }
  }

  struct TcpHandler : async::ConnectionHandler {
    TcpHandler(std::weak_ptr<Core> c, std::shared_ptr<async::Connection> k)
        : core(std::move(c)), connection(std::move(k)), idle(connection->loop()) {}
    std::weak_ptr<Core> core;
    std::shared_ptr<async::Connection> connection;  // until it is closed
    async::Timer idle;
    std::string in;

    void wait() {
      idle.start(kIdle, [this] {
        if (connection) connection->close();
      });
    }
    void onReady() override { wait(); }
    void onData(std::string_view bytes) override {
      auto self = core.lock();
      if (!self || !connection) return;
      wait();
      in += bytes;
      std::weak_ptr<async::Connection> to = connection;
      size_t at = 0;
      while (in.size() - at >= 2) {
        size_t length = size_t{static_cast<uint8_t>(in[at])} << 8 | static_cast<uint8_t>(in[at + 1]);
        if (in.size() - at - 2 < length) break;
        self->handle(std::string_view(in).substr(at + 2, length), true, [to](std::string answer) {
          auto connection = to.lock();
          if (!connection || answer.empty()) return;
          char head[2] = {static_cast<char>(answer.size() >> 8), static_cast<char>(answer.size())};
          std::string out = std::string(head, 2) + answer;
          connection->write(std::string_view(out));
        });
        at += 2 + length;
      }
      in.erase(0, at);
    }
    void onClosed(const Status&) override {
      idle.cancel();
      if (auto self = core.lock()) self->connections.erase(connection);
      connection.reset();
    }
    void onAbandoned() override { connection.reset(); }
  };

  static std::string aliasName(std::string_view wire);
  static std::vector<Record> addressRecords(std::string_view packet, uint16_t type, const std::string& owner);

  Status open() {
    if (options.upstreams.empty() && options.upstreamsFromResolvConf) {
      if (auto text = readFile("/etc/resolv.conf"); text.ok()) options.upstreams = nameServers(*text);
      const auto& own = options.listenAddresses;  // a host that asks us must not be asked by us
      std::erase_if(options.upstreams, [&](const std::string& server) {
        return std::any_of(own.begin(), own.end(), [&](const std::string& a) { return server == a || server == "[" + a + "]"; });
      });
    }
    upstream = std::make_unique<Upstream>(loop, options.upstreams, options.upstreamTimeout);
    for (const std::string& address : options.listenAddresses) {
      KM_ASSIGN(async::UniqueFd listener, async::listenTcp(address, options.port));
      int bound = async::localPort(listener.get());
      KM_ASSIGN(async::UniqueFd fd, bindUdp(address, bound));
      if (port == 0) port = bound;
      tcp.push_back(std::make_unique<async::Acceptor>(loop, std::move(listener), [this](async::UniqueFd accepted) {
        if (connections.size() >= 1000) return;
        auto connection = async::Connection::server(loop, std::move(accepted), nullptr);
        connections.insert(connection);
        connection->start(std::make_shared<TcpHandler>(weak_from_this(), connection));
      }));
      auto u = std::make_unique<Udp>();
      u->fd = std::move(fd);
      u->watch = std::make_unique<async::FdWatch>(loop, u->fd.get());
      u->watch->whileReadable([this, u = u.get()] { readUdp(*u); });
      udp.push_back(std::move(u));
    }
    return {};
  }

  void close() {
    upstream.reset();
    tcp.clear();
    for (auto& u : udp) u->watch.reset();
    udp.clear();
    for (const auto& c : connections) c->close();
    connections.clear();  // each is held by its handler until it has heard of the end
  }

  template <typename F>
  void onLoop(F f) {
    std::mutex mutex;
    std::condition_variable changed;
    bool done = false;
    loop.post([&] {
      f();
      std::lock_guard lock(mutex);
      done = true;
      changed.notify_all();
    });
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return done; });
  }
};

// The dotted form of an uncompressed name.
std::string Server::Core::aliasName(std::string_view wire) {
  std::string out;
  for (size_t at = 0; at < wire.size() && wire[at] != 0; at += 1 + static_cast<uint8_t>(wire[at])) {
    if (!out.empty()) out.push_back('.');
    out += wire.substr(at + 1, static_cast<uint8_t>(wire[at]));
  }
  return out;
}

std::vector<Record> Server::Core::addressRecords(std::string_view p, uint16_t type, const std::string& owner) {
  std::vector<Record> out;
  for (ParsedRecord& r : parseAnswers(p)) {
    if (r.type == type) out.push_back({owner, type, r.ttl, std::move(r.data)});
  }
  return out;
}

Server::Server(Options options, client::InformerFactory& informers, async::Loop& loop)
    : core_(std::make_shared<Core>(std::move(options), informers, loop)) {}

Server::~Server() { stop(); }

Status Server::start() {
  Status opened;
  core_->onLoop([&] {
    opened = core_->open();
    if (!opened.ok()) core_->close();
  });
  return opened;
}

void Server::stop() {
  if (core_->upstream == nullptr) return;
  core_->onLoop([&] { core_->close(); });
}

int Server::port() const { return core_->port; }

}  // namespace km::dns
