#include "http/server.h"

#include <atomic>
#include <condition_variable>
#include <mutex>

#include "async/connection.h"
#include "http/session.h"

namespace km::http {

using async::Connection;

namespace {
// The kernel is asked once in 15 seconds, so that thousands of idle connections cost nothing.
constexpr unsigned kSweepsPerListen = 3;
}  // namespace

void Handler::tooLarge(std::shared_ptr<Exchange> exchange) {
  exchange->respond(413, {{"content-type", "text/plain; charset=utf-8"}},
                    Body("request body is too large\n"));
}

void splitTarget(std::string_view target, Request& request) {
  size_t question = target.find('?');
  request.path.assign(target.substr(0, question));
  if (question != std::string_view::npos) request.query.assign(target.substr(question + 1));
}

ServerSession::ServerSession(SessionContext context, std::shared_ptr<Connection> connection)
    : context_(std::move(context)),
      connection_(std::move(connection)),
      info_(std::make_shared<ConnectionInfo>()) {
  info_->remote = connection_->remote();
  info_->local = connection_->local();
  info_->tls = connection_->isTls();
  info_->tlsVersion = connection_->tlsVersion();
  info_->certificates = connection_->peerCertificates();
  info_->loop = &connection_->loop();
  context_.home->sessions.insert(this);
}

ServerSession::~ServerSession() {
  context_.home->sessions.erase(this);
}

void ServerSession::abort() {
  connection_->close();
}

struct Server::Core : std::enable_shared_from_this<Server::Core> {
  Core(async::LoopGroup& loops, std::shared_ptr<Handler> handler, ServerOptions options)
      : loops(loops), handler(std::move(handler)), options(options) {
    for (int i = 0; i < loops.size(); ++i) {
      homes.push_back(std::make_unique<LoopSessions>());
      homes.back()->loop = &loops.at(i);
    }
  }
  async::LoopGroup& loops;
  std::shared_ptr<Handler> handler;
  ServerOptions options;
  std::vector<std::unique_ptr<LoopSessions>> homes;
  std::vector<std::unique_ptr<async::Acceptor>> acceptors;  // on loop 0
  std::atomic<unsigned> turn{0};
  std::atomic<bool> stopped{false};

  void accepted(async::UniqueFd fd, std::shared_ptr<async::TlsContext> tls);
  void begin(LoopSessions& home, async::UniqueFd fd, const std::shared_ptr<async::TlsContext>& tls);
  void startSweep(LoopSessions& home);
  SessionContext context(LoopSessions& home) { return {handler, options, &home, shared_from_this()}; }
  // Runs fn on every loop and waits. Not on a loop's thread.
  void onEveryLoop(const std::function<void(LoopSessions&)>& fn);
};

namespace {

// Decides between the protocols, then hands the connection to a session.
class Greeter final : public ServerSession {
 public:
  using ServerSession::ServerSession;

  void onReady() override {
    if (connection_->alpn() == "h2") {
      become(true, {});
    } else if (connection_->isTls()) {
      become(false, {});
    }
  }
  void onData(std::string_view bytes) override {
    static constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    seen_.append(bytes);
    size_t common = std::min(seen_.size(), kPreface.size());
    if (std::string_view(seen_).substr(0, common) != kPreface.substr(0, common)) {
      become(false, std::move(seen_));
    } else if (common == kPreface.size()) {
      become(true, std::move(seen_));
    }
  }
  void onClosed(const Status&) override {}
  void shutdown() override { connection_->closeAfterFlush(); }
  void sweep(Duration now) override {
    if (began_ == Duration::zero()) began_ = now;
    if (now - began_ > context_.options.headerTimeout) connection_->close();
  }

 private:
  void become(bool h2, std::string seen) {
    auto session = h2 ? makeH2Session(context_, connection_) : makeH1Session(context_, connection_);
    connection_->setHandler(session);
    session->onReady();
    if (!seen.empty() && !connection_->closed()) session->onData(seen);
  }
  std::string seen_;
  Duration began_{0};
};

}  // namespace

void Server::Core::accepted(async::UniqueFd fd, std::shared_ptr<async::TlsContext> tls) {
  LoopSessions& home = *homes[turn.fetch_add(1, std::memory_order_relaxed) % homes.size()];
  if (home.loop->inThread()) return begin(home, std::move(fd), tls);
  auto shared = std::make_shared<async::UniqueFd>(std::move(fd));
  home.loop->post(
      [self = shared_from_this(), &home, shared, tls] { self->begin(home, std::move(*shared), tls); });
}

void Server::Core::begin(LoopSessions& home, async::UniqueFd fd,
                         const std::shared_ptr<async::TlsContext>& tls) {
  if (home.draining) return;
  if (!home.sweep) startSweep(home);
  auto connection = Connection::server(*home.loop, std::move(fd), tls);
  // The certificate is known after the handshake only, so the session proper is made then.
  connection->start(std::make_shared<Greeter>(context(home), connection));
}

void Server::Core::startSweep(LoopSessions& home) {
  if (!home.sweep) home.sweep = std::make_unique<async::Timer>(*home.loop);
  home.sweep->start(std::chrono::seconds(5), [weak = weak_from_this(), &home] {
    auto self = weak.lock();
    if (!self) return;
    Duration now = steadyNow();
    // A session leaves the set in a later turn only, so the set stands still here.
    bool listen = ++home.sweeps % kSweepsPerListen == 0;
    for (ServerSession* session : home.sessions) {
      session->sweep(now);
      if (listen && session->unheard()) session->abort();
    }
    self->startSweep(home);
  });
}

void Server::Core::onEveryLoop(const std::function<void(LoopSessions&)>& fn) {
  std::mutex mutex;
  std::condition_variable wake;
  size_t left = homes.size();
  for (auto& home : homes) {
    home->loop->post([&, h = home.get()] {
      fn(*h);
      std::lock_guard lock(mutex);
      if (--left == 0) wake.notify_one();
    });
  }
  std::unique_lock lock(mutex);
  wake.wait(lock, [&] { return left == 0; });
}

Server::Server(async::LoopGroup& loops, std::shared_ptr<Handler> handler, ServerOptions options)
    : core_(std::make_shared<Core>(loops, std::move(handler), options)) {}

Server::~Server() {
  // Twice: the first round ends the connections, whose last calls come in the next turn.
  for (int round = 0; round < 3; ++round) {
    core_->onEveryLoop([&](LoopSessions& home) {
      if (home.loop == &core_->loops.at(0)) core_->acceptors.clear();
      home.draining = true;
      home.sweep.reset();
      auto copy = home.sessions;
      for (ServerSession* session : copy) session->abort();
    });
  }
}

Result<int> Server::listen(std::string_view address, int port, std::shared_ptr<async::TlsContext> tls) {
  KM_ASSIGN(async::UniqueFd fd, async::listenTcp(address, port));
  int actual = async::localPort(fd.get());
  KM_TRY(serve(std::move(fd), std::move(tls)));
  return actual;
}

Status Server::listenUnix(const std::string& path, int mode) {
  KM_ASSIGN(async::UniqueFd fd, async::listenUnix(path, mode));
  return serve(std::move(fd), nullptr);
}

Status Server::serve(async::UniqueFd listener, std::shared_ptr<async::TlsContext> tls) {
  auto shared = std::make_shared<async::UniqueFd>(std::move(listener));
  Core* core = core_.get();
  Loop& first = core->loops.at(0);
  first.dispatch([core = core_, shared, tls] {
    if (core->homes[0]->draining) return;
    std::weak_ptr<Core> weak = core;
    core->acceptors.push_back(std::make_unique<async::Acceptor>(core->loops.at(0), std::move(*shared),
                                                                [weak, tls](async::UniqueFd fd) {
                                                                  if (auto c = weak.lock())
                                                                    c->accepted(std::move(fd), tls);
                                                                }));
  });
  return {};
}

namespace {

// The drain of one loop: looks whether its sessions are gone, until the grace is over.
struct Drain : std::enable_shared_from_this<Drain> {
  Drain(LoopSessions& home, Duration until, Task done)
      : home(home), until(until), done(std::move(done)), timer(*home.loop) {}
  LoopSessions& home;
  Duration until;
  Task done;
  async::Timer timer;
  bool cut = false;

  void look() {
    if (home.sessions.empty() || cut) {
      auto call = std::move(done);
      call();
      return;
    }
    if (steadyNow() >= until) {
      auto copy = home.sessions;
      for (ServerSession* session : copy) session->abort();
      cut = true;
    }
    timer.start(std::chrono::milliseconds(20), [self = shared_from_this()] { self->look(); });
  }
};

}  // namespace

void Server::shutdown(Duration grace, Task done) {
  auto left = std::make_shared<std::atomic<size_t>>(core_->homes.size());
  Duration until = steadyNow() + grace;
  for (auto& home : core_->homes) {
    home->loop->post([core = core_, h = home.get(), left, until, done] {
      if (h->loop == &core->loops.at(0)) core->acceptors.clear();
      h->draining = true;
      auto copy = h->sessions;
      for (ServerSession* session : copy) session->shutdown();
      auto drain = std::make_shared<Drain>(*h, until, [core, left, done] {
        if (left->fetch_sub(1) == 1 && done) done();
      });
      drain->look();
    });
  }
}

}  // namespace km::http
