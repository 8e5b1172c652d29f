#include "http/websocket.h"

#include <gtest/gtest.h>

#include <future>

#include "http/server.h"
#include "http/spdy_connection.h"
#include "http/websocket_codec.h"

namespace km::http {
namespace {

using Event = WebSocketCodec::Event;

std::string hex(std::initializer_list<int> bytes) {
  std::string out;
  for (int b : bytes) out.push_back(static_cast<char>(b));
  return out;
}

TEST(WebSocketCodec, AcceptKeyOfTheStandard) {
  EXPECT_EQ(webSocketAccept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST(WebSocketCodec, ReadsTheExamplesOfTheStandard) {
  WebSocketCodec server(WebSocketCodec::Role::kServer, 1000), client(WebSocketCodec::Role::kClient, 1000);
  std::string masked = hex({0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58});
  std::string_view in = masked;
  ASSERT_EQ(server.next(in), Event::kText);
  EXPECT_EQ(server.payload(), "Hello");
  std::string fragments = hex({0x01, 0x03, 'H', 'e', 'l', 0x89, 0x01, 'p', 0x80, 0x02, 'l', 'o'});
  std::string seen;
  for (char c : fragments) {
    std::string_view one(&c, 1);
    Event e = client.next(one);
    if (e == Event::kPing) seen += "ping(" + std::string(client.payload()) + ")";
    if (e == Event::kText) seen += "text(" + std::string(client.payload()) + ")";
  }
  EXPECT_EQ(seen, "ping(p)text(Hello)");
}

TEST(WebSocketCodec, RoundTripsAllSizes) {
  WebSocketCodec server(WebSocketCodec::Role::kServer, 1 << 20),
      client(WebSocketCodec::Role::kClient, 1 << 20);
  for (size_t n : {0, 1, 125, 126, 127, 65535, 65536, 200000}) {
    std::string payload(n, 'z');
    std::string wire;
    client.frame(WebSocketCodec::kBinaryFrame, payload, wire);
    std::string_view in = wire;
    ASSERT_EQ(server.next(in), Event::kBinary) << n;
    EXPECT_TRUE(server.payload() == payload);
    EXPECT_TRUE(in.empty());
  }
}

TEST(WebSocketCodec, RefusesBadFrames) {
  auto code = [](std::string wire) {
    WebSocketCodec server(WebSocketCodec::Role::kServer, 100);
    std::string_view in = wire;
    return server.next(in) == Event::kError ? server.closeCode() : 0;
  };
  EXPECT_EQ(code(hex({0x81, 0x01, 'a'})), 1002);                     // not masked
  EXPECT_EQ(code(hex({0xc1, 0x80, 0, 0, 0, 0})), 1002);              // reserved bit
  EXPECT_EQ(code(hex({0x83, 0x80, 0, 0, 0, 0})), 1002);              // unknown opcode
  EXPECT_EQ(code(hex({0x09, 0x80, 0, 0, 0, 0})), 1002);              // control frame in fragments
  EXPECT_EQ(code(hex({0x80, 0x80, 0, 0, 0, 0})), 1002);              // continuation of nothing
  EXPECT_EQ(code(hex({0x82, 0xfe, 0x00, 0x7d, 0, 0, 0, 0})), 1002);  // length not minimal
  EXPECT_EQ(code(hex({0x82, 0xe5, 0, 0, 0, 0})), 1009);              // over the limit
  EXPECT_EQ(code(hex({0x81, 0x81, 0, 0, 0, 0, 0xff})), 1007);        // not UTF-8
  EXPECT_EQ(code(hex({0x88, 0x82, 0, 0, 0, 0, 0x03, 0xed})), 1002);  // close code 1005
}

// Echoes messages, and SPDY data through a tunnel.
class EchoSpdy final : public SpdyConnectionHandler {
 public:
  std::weak_ptr<SpdyConnection> connection;
  void onStream(uint32_t stream, const Headers& headers, bool last) override {
    auto c = connection.lock();
    c->session().reply(stream, {{"type", headers.get("streamtype")}});
  }
  void onReply(uint32_t, const Headers&, bool) override {}
  void onData(uint32_t stream, std::string_view bytes, bool last) override {
    connection.lock()->session().data(stream, bytes, last);
  }
  void onReset(uint32_t, uint32_t) override {}
  void onClosed(const Status&) override {}
};

class EchoSocket final : public WebSocketHandler {
 public:
  std::weak_ptr<WebSocket> socket;
  void onMessage(bool binary, std::string_view payload) override { socket.lock()->send(binary, payload); }
  void onClosed(uint16_t, std::string_view) override {}
};

class UpgradeHandler final : public Handler {
 public:
  void handle(std::shared_ptr<Exchange> x) override {
    if (isSpdyUpgrade(x->request())) {
      auto handler = std::make_shared<EchoSpdy>();
      auto c = acceptSpdy(*x, handler, {{"x-stream-protocol-version", "v4.channel.k8s.io"}});
      if (c.ok()) handler->connection = *c;
      return;
    }
    auto socket = acceptWebSocket(*x, {"v5.channel.k8s.io", "SPDY/3.1+portforward.k8s.io"});
    if (!socket.ok()) return x->respond(socket.status().code(), {}, Body(socket.status().message()));
    if ((*socket)->protocol() == "v5.channel.k8s.io" || (*socket)->protocol().empty()) {
      auto handler = std::make_shared<EchoSocket>();
      handler->socket = *socket;
      (*socket)->setHandler(handler);
    } else {
      auto handler = std::make_shared<EchoSpdy>();
      handler->connection = SpdyConnection::over(tunnelThrough(*socket), SpdySession::Role::kServer, handler);
    }
  }
};

class ClientSpdy final : public SpdyConnectionHandler {
 public:
  std::promise<std::string> done;
  std::string got;
  void onStream(uint32_t, const Headers&, bool) override {}
  void onReply(uint32_t, const Headers& h, bool) override { got += std::string(h.get("type")) + ":"; }
  void onData(uint32_t, std::string_view bytes, bool last) override {
    got += bytes;
    if (last) done.set_value(got);
  }
  void onReset(uint32_t, uint32_t) override { done.set_value("reset"); }
  void onClosed(const Status&) override { closed.set_value(); }
  std::promise<void> closed;
};

class ClientSocket final : public WebSocketHandler {
 public:
  std::promise<std::string> first;
  std::promise<uint16_t> closed;
  void onMessage(bool, std::string_view payload) override { first.set_value(std::string(payload)); }
  void onClosed(uint16_t code, std::string_view) override { closed.set_value(code); }
};

class UpgradeTest : public testing::Test {
 protected:
  void SetUp() override {
    server_ = std::make_unique<Server>(loops_, std::make_shared<UpgradeHandler>());
    endpoint_.host = "127.0.0.1";
    endpoint_.port = *server_->listen("127.0.0.1", 0, nullptr);
    client_ = std::make_unique<Client>(loops_.at(0));
  }
  void TearDown() override {
    std::promise<void> down;
    loops_.at(0).post([&] {
      client_.reset();
      down.set_value();
    });
    down.get_future().wait();
  }
  async::LoopGroup loops_{1, "test"};
  std::unique_ptr<Server> server_;
  std::unique_ptr<Client> client_;
  Endpoint endpoint_;
};

TEST_F(UpgradeTest, WebSocketEchoesAndCloses) {
  auto handler = std::make_shared<ClientSocket>();
  std::string protocol;
  connectWebSocket(*client_, endpoint_, {}, {"v5.channel.k8s.io"}, [&](Result<std::shared_ptr<WebSocket>> s) {
    ASSERT_TRUE(s.ok()) << s.status().message();
    protocol = (*s)->protocol();
    (*s)->setHandler(handler);
    (*s)->send(true, std::string(100000, 'm'));
    (*s)->close(1000, "done");
  });
  EXPECT_EQ(handler->first.get_future().get(), std::string(100000, 'm'));
  EXPECT_EQ(handler->closed.get_future().get(), 1000);
  EXPECT_EQ(protocol, "v5.channel.k8s.io");
}

TEST_F(UpgradeTest, WebSocketOfUnknownProtocolIsRefused) {
  std::promise<int> code;
  connectWebSocket(*client_, endpoint_, {}, {"nonsense"},
                   [&](Result<std::shared_ptr<WebSocket>> s) { code.set_value(s.status().code()); });
  EXPECT_EQ(code.get_future().get(), 400);
}

TEST_F(UpgradeTest, SpdyEchoes) {
  auto handler = std::make_shared<ClientSpdy>();
  connectSpdy(*client_, endpoint_, {}, handler,
              [&](Result<std::shared_ptr<SpdyConnection>> c, const Headers& h) {
                ASSERT_TRUE(c.ok()) << c.status().message();
                EXPECT_EQ(h.get("x-stream-protocol-version"), "v4.channel.k8s.io");
                uint32_t id = (*c)->session().open({{"streamtype", "stdin"}}, false);
                (*c)->session().data(id, std::string(300000, 'd'), true);
              });
  EXPECT_EQ(handler->done.get_future().get(), "stdin:" + std::string(300000, 'd'));
}

TEST_F(UpgradeTest, SpdyTunnelsThroughWebSocket) {
  auto handler = std::make_shared<ClientSpdy>();
  std::shared_ptr<SpdyConnection> connection;
  connectWebSocket(
      *client_, endpoint_, {}, {"SPDY/3.1+portforward.k8s.io"}, [&](Result<std::shared_ptr<WebSocket>> s) {
        ASSERT_TRUE(s.ok()) << s.status().message();
        connection = SpdyConnection::over(tunnelThrough(*s), SpdySession::Role::kClient, handler);
        uint32_t id = connection->session().open({{"streamtype", "data"}, {"port", "80"}}, false);
        connection->session().data(id, "through two protocols", true);
      });
  EXPECT_EQ(handler->done.get_future().get(), "data:through two protocols");
  loops_.at(0).post([&] { connection->close(); });
  handler->closed.get_future().wait();
}

}  // namespace
}  // namespace km::http
