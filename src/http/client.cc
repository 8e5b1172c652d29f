#include "http/client.h"

#include <algorithm>
#include <map>
#include <unordered_set>

#include "http/client_conn.h"
#include "http/h1_parser.h"

namespace km::http {

using async::Connection;

Result<Url> parseUrl(std::string_view url) {
  Url out;
  if (url.substr(0, 8) == "https://") {
    out.tls = true;
    url.remove_prefix(8);
  } else if (url.substr(0, 7) == "http://") {
    url.remove_prefix(7);
  } else {
    return errors::failed("unsupported URL: " + std::string(url));
  }
  size_t slash = url.find_first_of("/?#");
  std::string_view authority = url.substr(0, slash);
  if (slash != std::string_view::npos) out.target = std::string(url.substr(slash, url.find('#') - slash));
  if (out.target.empty() || out.target[0] != '/') out.target.insert(0, "/");
  size_t bracket = authority.rfind(']');
  size_t colon = authority.rfind(':');
  if (colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket)) {
    for (char c : authority.substr(colon + 1)) {
      if (c < '0' || c > '9' || out.port > 65535) return errors::failed("bad port in URL");
      out.port = out.port * 10 + (c - '0');
    }
    authority = authority.substr(0, colon);
  } else {
    out.port = out.tls ? 443 : 80;
  }
  if (authority.empty()) return errors::failed("no host in URL");
  out.host = std::string(authority);
  return out;
}

// The connections to one endpoint.
struct Pool : std::enable_shared_from_this<Pool> {
  Pool(Loop& loop, ClientOptions options, Endpoint endpoint)
      : loop(loop), options(options), endpoint(std::move(endpoint)) {}
  Loop& loop;
  ClientOptions options;
  Endpoint endpoint;
  std::vector<std::shared_ptr<ClientConn>> connections;
  std::vector<std::shared_ptr<CallImpl>> waiting;
  std::vector<std::weak_ptr<Connection>> greeting;  // connected, in the handshake
  size_t dialing = 0;
  bool http1 = false;  // seen: then every waiting call gets a connection of its own
  bool closed = false;

  void add(std::shared_ptr<CallImpl> call) {
    waiting.push_back(std::move(call));
    serve();
  }
  void serve();
  void dial();
  void dialed(Result<async::UniqueFd> fd);
  void ready(const std::shared_ptr<Connection>& connection);
  void dialFailed(const Status& why);
  void close(const Status& why);
};

void Pool::serve() {
  size_t next = 0;
  // begin() may call back into the pool; so the list is looked at anew each time.
  while (next < waiting.size()) {
    if (waiting[next]->done) {
      waiting.erase(waiting.begin() + static_cast<long>(next));
      continue;
    }
    std::shared_ptr<ClientConn> free;
    for (auto& c : connections) {
      if (c->available()) {
        free = c;
        break;
      }
    }
    if (!free) break;
    auto call = std::move(waiting[next]);
    waiting.erase(waiting.begin() + static_cast<long>(next));
    ++call->attempts;
    free->begin(call);
  }
  size_t room = options.maxHttp1Connections - std::min(options.maxHttp1Connections, connections.size());
  size_t want = http1 ? std::min(waiting.size(), room) : (waiting.empty() ? 0 : 1);
  while (!closed && dialing < want) dial();
}

namespace {

// Waits for the handshake of a connection that was dialled.
class Greeting final : public async::ConnectionHandler {
 public:
  Greeting(std::function<void()> ready, std::function<void(const Status&)> failed)
      : ready_(std::move(ready)), failed_(std::move(failed)) {}
  void onReady() override {
    auto call = std::move(ready_);
    failed_ = nullptr;
    call();
  }
  void onData(std::string_view) override {}
  void onClosed(const Status& why) override {
    if (failed_) failed_(why.ok() ? errors::failed("EOF") : why);
  }

  std::shared_ptr<Connection> connection;  // until its next handler holds it

 private:
  std::function<void()> ready_;
  std::function<void(const Status&)> failed_;
};

std::string_view offered(const Endpoint& endpoint) {
  if (endpoint.speak == Endpoint::Speak::kHttp1) return "http/1.1";
  if (endpoint.speak == Endpoint::Speak::kHttp2) return "h2";
  return {};
}

void dialEndpoint(Loop& loop, const Endpoint& endpoint, Duration timeout, async::ConnectCallback callback) {
  if (!endpoint.unixPath.empty()) {
    async::connectUnix(loop, endpoint.unixPath, std::move(callback));
  } else {
    async::connectTcp(loop, endpoint.host, endpoint.port, timeout, std::move(callback));
  }
}

}  // namespace

void Pool::dial() {
  ++dialing;
  dialEndpoint(loop, endpoint, options.dialTimeout, [weak = weak_from_this()](Result<async::UniqueFd> fd) {
    if (auto self = weak.lock()) self->dialed(std::move(fd));
  });
}

void Pool::dialed(Result<async::UniqueFd> fd) {
  if (!fd.ok()) return dialFailed(fd.status());
  if (closed) return;
  auto connection =
      Connection::client(loop, std::move(fd).value(), endpoint.tls, endpoint.host, offered(endpoint));
  std::weak_ptr<Pool> weak = weak_from_this();
  std::weak_ptr<Connection> weakConnection = connection;
  greeting.push_back(connection);
  auto greeter = std::make_shared<Greeting>(
      [weak, weakConnection] {
        auto self = weak.lock();
        auto c = weakConnection.lock();
        if (!c) return;
        if (!self || self->closed) return c->close();
        self->ready(c);
      },
      [weak](const Status& why) {
        if (auto self = weak.lock()) self->dialFailed(why);
      });
  greeter->connection = connection;
  connection->start(greeter);
}

void Pool::ready(const std::shared_ptr<Connection>& connection) {
  --dialing;
  std::erase_if(greeting, [&](auto& weak) { return weak.expired() || weak.lock() == connection; });
  bool h2 = connection->alpn() == "h2" || (endpoint.speak == Endpoint::Speak::kHttp2 && !connection->isTls());
  http1 = !h2;
  PoolLink link{weak_from_this(), options};
  auto made = h2 ? makeH2Conn(link, connection) : makeH1Conn(link, connection);
  connection->setHandler(made);
  connections.push_back(made);
  made->onReady();
  serve();
}

void Pool::dialFailed(const Status& why) {
  --dialing;
  std::vector<std::shared_ptr<CallImpl>> failed;
  if (http1 && !waiting.empty()) {
    failed.push_back(waiting.front());
    waiting.erase(waiting.begin());
  } else {
    failed.swap(waiting);
  }
  for (auto& call : failed) call->fail(Status(why.code(), kNotSent, why.message()));
}

void Pool::close(const Status& why) {
  closed = true;
  auto calls = std::move(waiting);
  waiting.clear();
  for (auto& call : calls) call->fail(why);
  auto all = connections;
  for (auto& c : all) c->shut(why);
  for (auto& weak : greeting) {
    auto c = weak.lock();
    if (c && !c->closed()) c->close(why);
  }
}

void poolAvailable(const std::weak_ptr<Pool>& weak) {
  if (auto pool = weak.lock()) pool->serve();
}

void poolClosed(const std::weak_ptr<Pool>& weak, ClientConn* connection) {
  auto pool = weak.lock();
  if (!pool) return;
  auto& all = pool->connections;
  for (size_t i = 0; i < all.size(); ++i) {
    if (all[i].get() != connection) continue;
    auto keep = std::move(all[i]);
    all.erase(all.begin() + static_cast<long>(i));
    break;
  }
  pool->serve();
}

void poolRetry(const std::shared_ptr<CallImpl>& call) {
  call->connection = nullptr;
  auto pool = call->pool.lock();
  if (!pool || pool->closed) return call->fail(errors::failed("the client is closed"));
  // Not within the callbacks of the connection that failed.
  pool->loop.post([pool, call] {
    if (!call->done) pool->add(call);
  });
}

struct Client::Core : std::enable_shared_from_this<Client::Core> {
  Core(Loop& loop, ClientOptions options) : loop(loop), options(options) {}
  using Key = std::tuple<std::string, int, std::string, async::TlsContext*, int>;
  Loop& loop;
  ClientOptions options;
  std::map<Key, std::shared_ptr<Pool>> pools;
  std::unique_ptr<async::Timer> timer;
  bool closed = false;

  void start(const Endpoint& endpoint, const std::shared_ptr<CallImpl>& call);
  void sweepLater();
};

void Client::Core::sweepLater() {
  if (!timer) timer = std::make_unique<async::Timer>(loop);
  if (timer->armed()) return;
  Duration every = std::min(options.pingTimeout, options.pingAfter) / 3;
  timer->start(every, [weak = weak_from_this()] {
    auto self = weak.lock();
    if (!self) return;
    Duration now = std::chrono::steady_clock::now().time_since_epoch();
    bool any = false;
    for (auto it = self->pools.begin(); it != self->pools.end();) {
      auto pool = it->second;
      auto all = pool->connections;
      for (auto& c : all) c->sweep(now);
      bool idle = all.empty() && pool->waiting.empty() && pool->dialing == 0;
      it = idle ? self->pools.erase(it) : std::next(it);
      any = any || !idle;
    }
    if (any) self->sweepLater();
  });
}

void Client::Core::start(const Endpoint& endpoint, const std::shared_ptr<CallImpl>& call) {
  if (call->done) return;
  if (closed) return call->fail(errors::failed("the client is closed"));
  Key key{endpoint.host, endpoint.port, endpoint.unixPath, endpoint.tls.get(),
          static_cast<int>(endpoint.speak)};
  auto& pool = pools[key];
  if (!pool) pool = std::make_shared<Pool>(loop, options, endpoint);
  call->pool = pool;
  if (call->options.timeout > Duration::zero()) {
    call->deadline = std::make_unique<async::Timer>(loop);
    call->deadline->start(call->options.timeout, [weak = std::weak_ptr<CallImpl>(call)] {
      auto c = weak.lock();
      if (!c || c->done) return;
      if (c->connection != nullptr) c->connection->cancel(*c);
      c->fail(Status(504, "Timeout", "context deadline exceeded"));
    });
  }
  sweepLater();
  pool->add(call);
}

Client::Client(Loop& loop, ClientOptions options) : core_(std::make_shared<Core>(loop, options)) {}

Client::~Client() {
  core_->closed = true;
  core_->timer.reset();
  auto pools = std::move(core_->pools);
  for (auto& [key, pool] : pools) pool->close(errors::failed("the client is closed"));
}

namespace {
std::string authorityOf(const Endpoint& endpoint) {
  if (!endpoint.authority.empty()) return endpoint.authority;
  if (!endpoint.unixPath.empty()) return "localhost";
  bool bare = endpoint.host.find(':') != std::string::npos && endpoint.host[0] != '[';
  return (bare ? "[" + endpoint.host + "]" : endpoint.host) + ":" + std::to_string(endpoint.port);
}
}  // namespace

void Client::retireConnections() {
  core_->loop.post([weak = std::weak_ptr<Core>(core_)] {
    auto core = weak.lock();
    if (!core) return;
    for (auto& [key, pool] : core->pools) {
      auto all = pool->connections;
      for (auto& c : all) c->retire();
    }
  });
}

std::shared_ptr<Call> Client::send(const Endpoint& endpoint, CallOptions options, CallHandler handler) {
  auto call = std::make_shared<CallImpl>(core_->loop, std::move(options), std::move(handler));
  call->authority = authorityOf(endpoint);
  call->scheme = endpoint.tls ? "https" : "http";
  // Posted even on the loop's thread: the caller has its Call before anything is called back.
  core_->loop.post([weak = std::weak_ptr<Core>(core_), endpoint, call] {
    if (auto core = weak.lock()) {
      core->start(endpoint, call);
    } else {
      call->fail(errors::failed("the client is closed"));
    }
  });
  return call;
}

namespace {

// One upgrade: sends the request on a connection of its own and reads the answer.
class Upgrading final : public async::ConnectionHandler, public std::enable_shared_from_this<Upgrading> {
 public:
  Upgrading(std::string head, std::function<void(Result<Upgraded>)> callback)
      : parser(H1Parser::Kind::kResponse, {}), head(std::move(head)), callback(std::move(callback)) {}
  void onReady() override { connection->write(std::string_view(head)); }
  void onData(std::string_view bytes) override {
    while (callback) {
      H1Parser::Event event = parser.next(bytes);
      if (event == H1Parser::Event::kNeedMore) return;
      if (event == H1Parser::Event::kError) return finish(errors::failed(parser.error().message()));
      if (event == H1Parser::Event::kHead) {
        if (parser.status / 100 == 1 && parser.status != 101) continue;
        answer.status = parser.status;
        answer.headers = parser.headers;
        if (parser.status == 101) {
          answer.stream = takeOver(connection, std::string(bytes));
          return finish(std::move(answer));
        }
      }
      if (event == H1Parser::Event::kBody) {
        answer.body.append(parser.body().substr(0, (64 << 10) - answer.body.size()));
      }
      if (event == H1Parser::Event::kEnd && answer.status != 0) {
        connection->close();
        return finish(std::move(answer));
      }
    }
  }
  void onClosed(const Status& why) override {
    if (answer.status != 0 && parser.finish() == H1Parser::Event::kEnd) return finish(std::move(answer));
    finish(why.ok() ? errors::failed("EOF") : why);
  }
  void finish(Result<Upgraded> result) {
    auto call = std::move(callback);
    callback = nullptr;
    timer.reset();
    if (call) call(std::move(result));
  }

  std::shared_ptr<Connection> connection;
  std::unique_ptr<async::Timer> timer;

 private:
  H1Parser parser;
  std::string head;
  Upgraded answer;
  std::function<void(Result<Upgraded>)> callback;
};

}  // namespace

void Client::upgrade(const Endpoint& endpoint, CallOptions options,
                     std::function<void(Result<Upgraded>)> callback) {
  if (!options.headers.has("connection")) options.headers.add("connection", "Upgrade");
  std::string head = h1RequestHead(options, authorityOf(endpoint));
  Loop& loop = core_->loop;
  Duration timeout = options.timeout > Duration::zero() ? options.timeout : core_->options.dialTimeout;
  dialEndpoint(loop, endpoint, timeout,
               [&loop, endpoint, head, callback, timeout](Result<async::UniqueFd> fd) {
                 if (!fd.ok()) return callback(fd.status());
                 auto handler = std::make_shared<Upgrading>(head, callback);
                 handler->connection =
                     Connection::client(loop, std::move(fd).value(), endpoint.tls, endpoint.host, "http/1.1");
                 handler->timer = std::make_unique<async::Timer>(loop);
                 std::weak_ptr<Upgrading> weak = handler;
                 handler->timer->start(timeout, [weak] {
                   if (auto h = weak.lock()) h->connection->close(errors::timeout("upgrade timed out", 0));
                 });
                 handler->connection->start(handler);
               });
}

Result<Fetched> fetch(const Endpoint& endpoint, CallOptions options) {
  Loop loop;
  Fetched answer;
  Status failed;
  {
    Client client(loop);
    CallHandler handler;
    handler.onHead = [&](int status, const Headers& headers) {
      answer.status = status;
      answer.headers = headers;
    };
    handler.onData = [&](std::string_view bytes) { answer.body.append(bytes); };
    handler.onEnd = [&](const Headers& trailers) {
      answer.trailers = trailers;
      loop.stop();
    };
    handler.onError = [&](const Status& why) {
      failed = why;
      loop.stop();
    };
    client.send(endpoint, std::move(options), std::move(handler));
    loop.run();
  }
  if (!failed.ok()) return failed;
  return answer;
}

}  // namespace km::http
