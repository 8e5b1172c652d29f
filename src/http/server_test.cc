#include "http/server.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <thread>

#include "async/connection.h"
#include "async/file_watch.h"
#include "http/client.h"
#include "http/test_certificates.h"

namespace km::http {
namespace {

class TestHandler final : public Handler {
 public:
  size_t bodyLimit(const Request& r) override {
    return r.path == "/stream-echo" ? kStreamBody : r.path == "/small" ? 10 : 8 << 20;
  }
  void handle(std::shared_ptr<Exchange> x) override {
    const Request& r = x->request();
    if (r.path == "/echo" || r.path == "/small") {
      x->respond(200,
                 {{"content-type", "text/plain"}, {"x-query", r.query}, {"x-host", r.headers.get("host")}},
                 Body(r.body));
    } else if (r.path == "/thread") {
      std::thread([x] { x->respond(201, {}, Body("from a thread")); }).detach();
    } else if (r.path == "/who") {
      auto& c = r.connection->certificates;
      std::string text =
          c ? c->leaf().commonName + "/" + c->leaf().organizations.at(0) + "/" + (c->verified() ? "ok" : "no")
            : "-";
      x->respond(200, {}, Body(text));
    } else if (r.path == "/empty") {
      x->respond(204, {});
    } else if (r.path == "/last") {
      x->respond(200, {{"connection", "close"}}, Body(r.connection->remote));
    } else if (r.path == "/remote") {
      x->respond(200, {}, Body(r.connection->remote));
    } else if (r.path == "/watch") {
      x->onClose([this] { closed.set_value(); });
      x->start(200, {});
      x->write("one\n");
      watch = x;
    } else if (r.path == "/big") {
      big(x, 0);
    } else if (r.path == "/stream-echo") {
      x->start(200, {});
      x->onBody([x](std::string_view bytes, bool last) {
        x->write(std::string(bytes));
        if (last) x->finish({{"x-trailer", "yes"}});
      });
    } else if (r.path == "/hold") {
      held = x;
      holding.set_value();
    } else {
      x->respond(404, {}, Body("not here"));
    }
  }
  static void big(std::shared_ptr<Exchange> x, int i) {
    if (i == 0) x->start(200, {});
    static const auto block = std::make_shared<const std::string>(100000, 'b');
    for (; i < 200; ++i) {
      if (x->write(block) > (1 << 20)) {
        x->onDrain([x, i] { big(x, i + 1); });
        return;
      }
    }
    x->finish();
  }
  std::promise<void> closed, holding;
  std::shared_ptr<Exchange> watch, held;
};

class ServerTest : public testing::TestWithParam<Endpoint::Speak> {
 protected:
  void SetUp() override {
    ca_ = makeTestCertificate("test-ca", {}, {}, nullptr);
    TestPair server = makeTestCertificate("localhost", {}, {"DNS:localhost", "IP:127.0.0.1"}, &ca_);
    TestPair user = makeTestCertificate("alice", {"system:masters", "dev"}, {}, &ca_);
    async::TlsServerOptions o;
    o.certificatePem = server.certificatePem;
    o.keyPem = server.keyPem;
    o.clientCaPem = ca_.certificatePem;
    auto tls = async::TlsContext::server(o);
    ASSERT_TRUE(tls.ok()) << tls.status().message();
    handler_ = std::make_shared<TestHandler>();
    server_ = std::make_unique<Server>(loops_, handler_);
    tls_ = *tls;
    auto port = server_->listen("127.0.0.1", 0, *tls);
    ASSERT_TRUE(port.ok()) << port.status().message();
    async::TlsClientOptions c;
    c.caPem = ca_.certificatePem;
    c.certificatePem = user.certificatePem;
    c.keyPem = user.keyPem;
    auto client = async::TlsContext::client(c);
    ASSERT_TRUE(client.ok()) << client.status().message();
    endpoint_.host = "127.0.0.1";
    endpoint_.port = *port;
    endpoint_.tls = *client;
    endpoint_.speak = GetParam();
  }
  Fetched get(const std::string& target, std::string method = "GET", std::string body = {}) {
    CallOptions o;
    o.method = method;
    o.target = target;
    if (!body.empty()) o.body = Body(std::move(body));
    o.timeout = std::chrono::seconds(10);
    auto r = fetch(endpoint_, std::move(o));
    EXPECT_TRUE(r.ok()) << target << ": " << r.status().message();
    return r.ok() ? *r : Fetched();
  }
  // The body of the answer, or what is wrong, by a client of the test's own.
  std::string bodyOf(Client& client, const char* path) {
    std::promise<std::string> answer;
    auto body = std::make_shared<std::string>();
    CallHandler h;
    h.onData = [body](std::string_view bytes) { *body += bytes; };
    h.onEnd = [&, body](const Headers&) { answer.set_value(*body); };
    h.onError = [&](const Status& why) { answer.set_value(why.message()); };
    CallOptions call;
    call.target = path;
    client.send(endpoint_, std::move(call), std::move(h));
    return answer.get_future().get();
  }
  TestPair ca_;
  async::LoopGroup loops_{2, "test"};
  std::shared_ptr<TestHandler> handler_;
  std::unique_ptr<Server> server_;
  std::shared_ptr<async::TlsContext> tls_;
  Endpoint endpoint_;
};

INSTANTIATE_TEST_SUITE_P(Protocols, ServerTest,
                         testing::Values(Endpoint::Speak::kAuto, Endpoint::Speak::kHttp1,
                                         Endpoint::Speak::kHttp2));

TEST_P(ServerTest, AnswersWithBodyAndHeaders) {
  Fetched f = get("/echo?a=b%20c", "POST", "hello");
  EXPECT_EQ(f.status, 200);
  EXPECT_EQ(f.body, "hello");
  EXPECT_EQ(f.headers.get("x-query"), "a=b%20c");
  EXPECT_EQ(f.headers.get("content-length"), "5");
  EXPECT_EQ(f.headers.get("x-host"), "127.0.0.1:" + std::to_string(endpoint_.port));
  EXPECT_EQ(f.headers.get("date").size(), 29u);
}

TEST_P(ServerTest, CarriesLargeBodiesBothWays) {
  std::string body(5 << 20, '\0');
  for (size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>(i * 7 + i / 1000);
  EXPECT_TRUE(get("/echo", "POST", body).body == body);
}

TEST_P(ServerTest, RefusesBodiesOverTheLimit) {
  EXPECT_EQ(get("/small", "POST", "0123456789").status, 200);
  Fetched f = get("/small", "POST", "0123456789a");
  EXPECT_EQ(f.status, 413);
}

TEST_P(ServerTest, MayBeAnsweredFromAnyThread) {
  Fetched f = get("/thread");
  EXPECT_EQ(f.status, 201);
  EXPECT_EQ(f.body, "from a thread");
}

TEST_P(ServerTest, SeesTheClientCertificate) {
  EXPECT_EQ(get("/who").body, "alice/system:masters/ok");
  async::TlsClientOptions c;
  c.insecure = true;
  endpoint_.tls = *async::TlsContext::client(c);
  EXPECT_EQ(get("/who").body, "-");
  TestPair otherCa = makeTestCertificate("other-ca", {}, {}, nullptr);
  TestPair mallory = makeTestCertificate("mallory", {"o"}, {}, &otherCa);
  c.certificatePem = mallory.certificatePem;
  c.keyPem = mallory.keyPem;
  endpoint_.tls = *async::TlsContext::client(c);
  EXPECT_EQ(get("/who").body, "mallory/o/no");
}

TEST_P(ServerTest, ClientRefusesAnUnknownAuthority) {
  async::TlsClientOptions c;
  c.caPem = makeTestCertificate("other-ca", {}, {}, nullptr).certificatePem;
  endpoint_.tls = *async::TlsContext::client(c);
  auto r = fetch(endpoint_, {});
  ASSERT_FALSE(r.ok());
  EXPECT_NE(r.status().message().find("failed to verify certificate"), std::string::npos)
      << r.status().message();
}

TEST_P(ServerTest, HeadAndNoContentHaveNoBody) {
  Fetched f = get("/echo", "HEAD");
  EXPECT_EQ(f.status, 200);
  EXPECT_EQ(f.body, "");
  f = get("/empty");
  EXPECT_EQ(f.status, 204);
  EXPECT_FALSE(f.headers.has("content-length"));
}

TEST_P(ServerTest, StreamsUnderBackpressure) {
  Fetched f = get("/big");
  EXPECT_EQ(f.body.size(), 200u * 100000);
}

TEST_P(ServerTest, StreamsRequestBodiesAndTrailers) {
  async::LoopGroup loop(1, "client");
  std::promise<std::string> got;
  auto client = std::make_unique<Client>(loop.at(0));
  CallOptions o;
  o.method = "POST";
  o.target = "/stream-echo";
  o.streamBody = true;
  std::string body, trailer;
  CallHandler h;
  std::shared_ptr<Call> call;
  std::promise<void> first;
  h.onData = [&](std::string_view b) {
    if (body.empty()) first.set_value();
    body += b;
  };
  h.onEnd = [&](const Headers& t) { got.set_value(body + "/" + std::string(t.get("x-trailer"))); };
  h.onError = [&](const Status& s) { got.set_value("error " + s.message()); };
  call = client->send(endpoint_, std::move(o), std::move(h));
  call->write("ping");
  first.get_future().wait();  // the answer begins before the request ends
  call->write("pong");
  call->finishBody();
  EXPECT_EQ(got.get_future().get(), "pingpong/yes");
  std::promise<void> down;
  loop.at(0).post([&] {
    client.reset();
    loop.at(0).post([&] { loop.at(0).post([&] { down.set_value(); }); });
  });
  down.get_future().wait();
}

TEST_P(ServerTest, TellsWhenTheWatcherGoesAway) {
  async::LoopGroup loop(1, "client");
  auto client = std::make_unique<Client>(loop.at(0));
  CallOptions o;
  o.target = "/watch";
  CallHandler h;
  std::promise<void> first;
  h.onData = [&](std::string_view b) { first.set_value(); };
  auto call = client->send(endpoint_, std::move(o), std::move(h));
  first.get_future().wait();
  call->cancel();
  EXPECT_EQ(handler_->closed.get_future().wait_for(std::chrono::seconds(5)), std::future_status::ready);
  handler_->watch.reset();
  std::promise<void> down;
  loop.at(0).post([&] {
    client.reset();
    loop.at(0).post([&] { loop.at(0).post([&] { down.set_value(); }); });
  });
  down.get_future().wait();
}

TEST_P(ServerTest, ShutdownLetsRequestsEnd) {
  auto answer = std::async(std::launch::async, [this] { return get("/hold"); });
  handler_->holding.get_future().wait();
  std::promise<void> done;
  server_->shutdown(std::chrono::seconds(10), [&] { done.set_value(); });
  handler_->held->respond(200, {}, Body("ended well"));
  handler_->held.reset();
  EXPECT_EQ(answer.get().body, "ended well");
  EXPECT_EQ(done.get_future().wait_for(std::chrono::seconds(5)), std::future_status::ready);
  CallOptions o;
  EXPECT_FALSE(fetch(endpoint_, std::move(o)).ok());
}

TEST_P(ServerTest, DeadlineEndsACall) {
  CallOptions o;
  o.target = "/hold";
  o.timeout = std::chrono::milliseconds(50);
  auto r = fetch(endpoint_, std::move(o));
  ASSERT_FALSE(r.ok());
  EXPECT_EQ(r.status().message(), "context deadline exceeded");
  handler_->holding.get_future().wait();
  handler_->held.reset();
}

TEST_P(ServerTest, ManyCallsShareConnections) {
  async::LoopGroup loop(1, "client");
  ClientOptions few;
  few.maxHttp1Connections = 8;
  auto client = std::make_unique<Client>(loop.at(0), few);
  std::atomic<int> left{400};
  std::atomic<int> wrong{0};
  std::promise<void> all;
  for (int i = 0; i < 400; ++i) {
    CallOptions o;
    o.target = "/echo?" + std::to_string(i);
    o.method = "POST";
    o.body = Body("body " + std::to_string(i));
    CallHandler h;
    auto body = std::make_shared<std::string>();
    h.onData = [body](std::string_view b) { body->append(b); };
    h.onEnd = [&, body, i](const Headers&) {
      if (*body != "body " + std::to_string(i)) ++wrong;
      if (--left == 0) all.set_value();
    };
    h.onError = [&](const Status& s) {
      ++wrong;
      if (--left == 0) all.set_value();
    };
    client->send(endpoint_, std::move(o), std::move(h));
  }
  EXPECT_EQ(all.get_future().wait_for(std::chrono::seconds(20)), std::future_status::ready);
  EXPECT_EQ(wrong.load(), 0);
  std::promise<void> down;
  loop.at(0).post([&] {
    client.reset();
    loop.at(0).post([&] { loop.at(0).post([&] { down.set_value(); }); });
  });
  down.get_future().wait();
}

TEST_P(ServerTest, TakesANewCertificateWhileRunning) {
  EXPECT_EQ(get("/thread").status, 201);
  TestPair otherCa = makeTestCertificate("new-ca", {}, {}, nullptr);
  TestPair renewed = makeTestCertificate("localhost", {}, {"IP:127.0.0.1"}, &otherCa);
  async::TlsServerOptions o;
  o.certificatePem = "nonsense";
  o.keyPem = renewed.keyPem;
  EXPECT_FALSE(tls_->reload(o).ok());
  EXPECT_EQ(get("/thread").status, 201);
  o.certificatePem = renewed.certificatePem;
  EXPECT_TRUE(tls_->reload(o).ok());
  async::TlsClientOptions c;
  c.caPem = otherCa.certificatePem;
  endpoint_.tls = *async::TlsContext::client(c);
  EXPECT_EQ(get("/thread").status, 201);
}

TEST_P(ServerTest, AConnectionEndsAfterAnAnswerThatSaysSo) {
  auto client = std::make_unique<Client>(loops_.at(1));
  auto ask = [&](const char* path) { return bodyOf(*client, path); };
  ASSERT_EQ(get("/remote").status, 200);
  std::string first = ask("/remote");
  EXPECT_EQ(ask("/remote"), first);
  EXPECT_EQ(ask("/last"), first);
  // Over HTTP/2 the GOAWAY may come a moment after the answer; both are then served.
  std::string next = first;
  for (int i = 0; i < 1000 && next == first; ++i) next = ask("/remote");
  EXPECT_NE(next, first);
  EXPECT_EQ(next.find("127.0.0.1:"), 0u);
  std::promise<void> gone;
  loops_.at(1).post([&] {
    client.reset();
    loops_.at(1).post([&] { loops_.at(1).post([&] { gone.set_value(); }); });
  });
  gone.get_future().wait();
}

// A Secret's directory as the kubelet mounts it: the files are links through a directory that is replaced at once.
class SecretDirectory {
 public:
  SecretDirectory() {
    std::string name = std::filesystem::temp_directory_path() / "km-http-XXXXXX";
    path_ = ::mkdtemp(name.data());
    for (const char* file : {"tls.crt", "tls.key", "ca.crt"}) std::filesystem::create_symlink(std::string("..data/") + file, path_ / file);
  }
  ~SecretDirectory() { std::filesystem::remove_all(path_); }
  void write(const TestPair& pair, const std::string& ca) {
    std::filesystem::path version = "..v" + std::to_string(++versions_);
    std::filesystem::create_directory(path_ / version);
    std::ofstream(path_ / version / "tls.crt") << pair.certificatePem;
    std::ofstream(path_ / version / "tls.key") << pair.keyPem;
    std::ofstream(path_ / version / "ca.crt") << ca;
    std::filesystem::create_symlink(version, path_ / "..new");
    std::filesystem::rename(path_ / "..new", path_ / "..data");
  }
  std::string operator/(const char* file) const { return path_ / file; }

 private:
  std::filesystem::path path_;
  int versions_ = 0;
};

TEST_P(ServerTest, RenewsItselfAndItsClientsFromFiles) {
  TestPair otherCa = makeTestCertificate("new-ca", {}, {}, nullptr);
  auto server = [](const TestPair& ca) { return makeTestCertificate("localhost", {}, {"IP:127.0.0.1"}, &ca); };
  auto user = [](const TestPair& ca, const char* name) { return makeTestCertificate(name, {"dev"}, {}, &ca); };
  SecretDirectory ofServer, ofClient;
  ofServer.write(server(ca_), ca_.certificatePem);
  ofClient.write(user(ca_, "alice"), ca_.certificatePem);
  async::TlsServerOptions o;
  o.certificateFile = ofServer / "tls.crt";
  o.keyFile = ofServer / "tls.key";
  o.clientCaFile = ofServer / "ca.crt";
  auto tls = *async::TlsContext::server(o);
  std::promise<void> serverRenewed, clientRenewed;
  auto serverFiles = async::renewFromFiles(loops_.at(0), tls, o, [&] { serverRenewed.set_value(); });
  endpoint_.port = *server_->listen("127.0.0.1", 0, tls);
  async::TlsClientOptions c;
  c.certificateFile = ofClient / "tls.crt";
  c.keyFile = ofClient / "tls.key";
  c.caFile = ofClient / "ca.crt";
  endpoint_.tls = *async::TlsContext::client(c);
  auto client = std::make_unique<Client>(loops_.at(1));
  auto clientFiles = async::renewFromFiles(loops_.at(1), endpoint_.tls, c, [&] {
    client->retireConnections();
    clientRenewed.set_value();
  });
  auto who = [&] { return bodyOf(*client, "/who"); };
  EXPECT_NE(who().find("alice"), std::string::npos);
  ofServer.write(server(otherCa), otherCa.certificatePem);
  serverRenewed.get_future().wait();
  EXPECT_NE(who().find("alice"), std::string::npos);  // on the connection that stands
  ofClient.write(user(otherCa, "bob"), otherCa.certificatePem);
  clientRenewed.get_future().wait();
  EXPECT_NE(who().find("bob"), std::string::npos);  // on a new one, which the server trusts by its new authority
  clientFiles.reset();
  serverFiles.reset();
  loops_.at(1).post([&] { client.reset(); });
  std::promise<void> gone;
  loops_.at(1).post([&] { loops_.at(1).post([&] { gone.set_value(); }); });
  gone.get_future().wait();
}

// What the server answers to raw bytes, up to the close of the connection.
std::string raw(int port, std::string_view request) {
  async::Loop loop;
  std::string got;
  class Reader final : public async::ConnectionHandler {
   public:
    Reader(async::Loop& loop, std::string& got) : loop_(loop), got_(got) {}
    void onData(std::string_view bytes) override { got_ += bytes; }
    void onClosed(const Status&) override { loop_.stop(); }

   private:
    async::Loop& loop_;
    std::string& got_;
  };
  std::shared_ptr<async::Connection> connection;
  async::connectTcp(loop, "127.0.0.1", port, std::chrono::seconds(5), [&](Result<async::UniqueFd> fd) {
    ASSERT_TRUE(fd.ok());
    connection = async::Connection::client(loop, std::move(*fd), nullptr, "");
    connection->start(std::make_shared<Reader>(loop, got));
    connection->write(request);
  });
  loop.run();
  connection.reset();
  return got;
}

size_t count(std::string_view text, std::string_view part) {
  size_t n = 0;
  for (size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

TEST(RawHttp1, PipeliningOrderExpectationAndRefusals) {
  async::LoopGroup loops(1, "test");
  auto handler = std::make_shared<TestHandler>();
  Server server(loops, handler);
  int port = *server.listen("127.0.0.1", 0, nullptr);
  // The first is answered by another thread, so the others wait for their turn.
  std::string got =
      raw(port,
          "GET /thread HTTP/1.1\r\nHost: x\r\n\r\n"
          "POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc"
          "GET /empty HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  size_t first = got.find("from a thread"), interim = got.find("100 Continue"), second = got.find("abc");
  EXPECT_LT(first, interim) << got;
  EXPECT_LT(interim, second) << got;
  EXPECT_LT(second, got.find("204 No Content")) << got;
  EXPECT_EQ(count(got, "connection: close"), 1u) << got;

  got = raw(port, "GET /empty HTTP/1.0\r\n\r\n");
  EXPECT_EQ(got.substr(0, 12), "HTTP/1.1 204") << got;
  got = raw(
      port,
      "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
  EXPECT_EQ(got.substr(0, 12), "HTTP/1.1 400") << got;
  got = raw(port,
            "POST /small HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n" + std::string(300000, 'x'));
  EXPECT_EQ(got.substr(0, 12), "HTTP/1.1 413") << got;
  EXPECT_EQ(count(got, "HTTP/1.1"), 1u) << got;
}

// Keeps every request, even after its client went away.
class HoardingHandler final : public Handler {
 public:
  void handle(std::shared_ptr<Exchange> x) override { all.push_back(std::move(x)); }
  std::vector<std::shared_ptr<Exchange>> all;
};

TEST(Http2, ResettingDoesNotBuyUnlimitedWork) {
  async::LoopGroup loops(1, "test");
  auto handler = std::make_shared<HoardingHandler>();
  ServerOptions options;
  options.maxConcurrentStreams = 10;
  auto server = std::make_unique<Server>(loops, handler, options);
  Endpoint e;
  e.host = "127.0.0.1";
  e.port = *server->listen("127.0.0.1", 0, nullptr);
  e.speak = Endpoint::Speak::kHttp2;
  auto client = std::make_unique<Client>(loops.at(0));
  std::promise<void> refused;
  bool told = false;
  // Each call is given up as soon as the next turn, and the server's handler never lets go.
  std::function<void(int)> next = [&](int i) {
    CallHandler h;
    h.onError = [&](const Status&) {
      if (!told) refused.set_value();
      told = true;
    };
    auto call = client->send(e, {}, std::move(h));
    auto timer = std::make_shared<async::Timer>(loops.at(0));
    timer->start(std::chrono::microseconds(200), [&, i, call, timer] {
      if (told) return;
      call->cancel();
      if (i < 1000) next(i + 1);
    });
  };
  // One call stays: it hears of the end of its connection.
  CallHandler h;
  h.onError = [&](const Status&) {
    if (!told) refused.set_value();
    told = true;
  };
  client->send(e, {}, std::move(h));
  loops.at(0).post([&] { next(0); });
  EXPECT_EQ(refused.get_future().wait_for(std::chrono::seconds(10)), std::future_status::ready);
  std::promise<void> down;
  loops.at(0).post([&] {
    EXPECT_LE(handler->all.size(), 45u);
    told = true;
    client.reset();
  });
  // The last timer fires before this one.
  std::unique_ptr<async::Timer> later;
  loops.at(0).post([&] {
    later = std::make_unique<async::Timer>(loops.at(0));
    later->start(std::chrono::milliseconds(5), [&] {
      later.reset();
      down.set_value();
    });
  });
  down.get_future().wait();
  server.reset();
  handler->all.clear();
}

TEST(UnixServer, SpeaksBothProtocolsInCleartext) {
  async::LoopGroup loops(1, "test");
  Server server(loops, std::make_shared<TestHandler>());
  std::string path = testing::TempDir() + "km-http-" + std::to_string(getpid()) + ".sock";
  ASSERT_TRUE(server.listenUnix(path).ok());
  for (auto speak : {Endpoint::Speak::kAuto, Endpoint::Speak::kHttp2}) {
    Endpoint e;
    e.unixPath = path;
    e.speak = speak;
    CallOptions o;
    o.target = "/echo";
    o.method = "PUT";
    o.body = Body("x");
    auto r = fetch(e, std::move(o));
    ASSERT_TRUE(r.ok()) << r.status().message();
    EXPECT_EQ(r->body, "x");
    EXPECT_EQ(r->headers.get("x-host"), "localhost");
  }
  unlink(path.c_str());
}

}  // namespace
}  // namespace km::http
