#include "http/server.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <future>

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
      x->respond(200, {{"content-type", "text/plain"}, {"x-query", r.query}, {"x-host", r.headers.get("host")}}, Body(r.body));
    } else if (r.path == "/thread") {
      std::thread([x] { x->respond(201, {}, Body("from a thread")); }).detach();
    } else if (r.path == "/who") {
      auto& c = r.connection->certificates;
      std::string text = c ? c->leaf().commonName + "/" + c->leaf().organizations.at(0) + "/" + (c->verified() ? "ok" : "no") : "-";
      x->respond(200, {}, Body(text));
    } else if (r.path == "/empty") {
      x->respond(204, {});
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
  TestPair ca_;
  async::LoopGroup loops_{2, "test"};
  std::shared_ptr<TestHandler> handler_;
  std::unique_ptr<Server> server_;
  Endpoint endpoint_;
};

INSTANTIATE_TEST_SUITE_P(Protocols, ServerTest,
                         testing::Values(Endpoint::Speak::kAuto, Endpoint::Speak::kHttp1, Endpoint::Speak::kHttp2));

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
  EXPECT_NE(r.status().message().find("failed to verify certificate"), std::string::npos) << r.status().message();
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
  handler_->held.reset();
}

TEST_P(ServerTest, ManyCallsShareConnections) {
  async::LoopGroup loop(1, "client");
  auto client = std::make_unique<Client>(loop.at(0));
  std::atomic<int> left{1000};
  std::atomic<int> wrong{0};
  std::promise<void> all;
  for (int i = 0; i < 1000; ++i) {
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
