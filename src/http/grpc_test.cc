#include "http/grpc.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <future>

#include "http/server.h"

namespace km::http {
namespace {

TEST(GrpcDeframer, FindsMessagesInPieces) {
  std::string wire;
  grpcFrame("one", wire);
  grpcFrame("", wire);
  grpcFrame(std::string(1000, 'x'), wire);
  for (size_t step : {1, 4, 5000}) {
    GrpcDeframer d(1000);
    std::vector<std::string> got;
    for (size_t i = 0; i < wire.size(); i += step) {
      EXPECT_TRUE(
          d.feed(std::string_view(wire).substr(i, step), [&](std::string m) { got.push_back(m); }).ok());
    }
    ASSERT_EQ(got.size(), 3u);
    EXPECT_EQ(got[0], "one");
    EXPECT_EQ(got[2].size(), 1000u);
    EXPECT_FALSE(d.incomplete());
  }
  GrpcDeframer small(10);
  EXPECT_EQ(small.feed(wire, [](std::string) {}).code, GrpcCode::kResourceExhausted);
}

TEST(GrpcStatus, ComesFromTrailersOrHead) {
  GrpcStatus s = grpcStatusOf(200, {}, {{"grpc-status", "5"}, {"grpc-message", "no%20such%3A%C3%A9"}});
  EXPECT_EQ(s.code, GrpcCode::kNotFound);
  EXPECT_EQ(s.message, "no such:\xc3\xa9");
  EXPECT_EQ(s.str(), "rpc error: code = NotFound desc = no such:\xc3\xa9");
  EXPECT_EQ(grpcStatusOf(200, {{"grpc-status", "12"}}, {}).code, GrpcCode::kUnimplemented);
  EXPECT_EQ(grpcStatusOf(503, {}, {}).code, GrpcCode::kUnavailable);
  EXPECT_EQ(grpcStatusOf(200, {}, {}).code, GrpcCode::kInternal);
}

class EchoService final : public Handler {
 public:
  size_t bodyLimit(const Request& r) override { return r.path == "/t.S/Chat" ? kStreamBody : 1 << 20; }
  void handle(std::shared_ptr<Exchange> x) override {
    const Request& r = x->request();
    EXPECT_EQ(r.headers.get("te"), "trailers");
    EXPECT_EQ(r.headers.get("host"), "localhost");
    Headers type{{"content-type", "application/grpc"}};
    if (r.path == "/t.S/Echo") {
      x->start(200, type);
      x->write(r.body);
      x->finish({{"grpc-status", "0"}});
    } else if (r.path == "/t.S/Many") {
      x->start(200, type);
      std::string frame;
      for (int i = 0; i < 100; ++i) grpcFrame(std::to_string(i), frame);
      x->write(std::move(frame));
      x->finish({{"grpc-status", "9"}, {"grpc-message", "that was all"}});
    } else if (r.path == "/t.S/Chat") {
      x->start(200, type);
      x->onBody([x](std::string_view bytes, bool last) {
        x->write(std::string(bytes));
        if (last) x->finish({{"grpc-status", "0"}});
      });
    } else if (r.path == "/t.S/Never") {
    } else {
      x->respond(
          200,
          {{"content-type", "application/grpc"}, {"grpc-status", "12"}, {"grpc-message", "unknown method"}});
    }
  }
};

class GrpcTest : public testing::Test {
 protected:
  void SetUp() override {
    path_ = testing::TempDir() + "km-grpc-" + std::to_string(getpid()) + ".sock";
    server_ = std::make_unique<Server>(loops_, std::make_shared<EchoService>());
    ASSERT_TRUE(server_->listenUnix(path_).ok());
    Endpoint e;
    e.unixPath = path_;
    client_ = std::make_unique<Client>(loops_.at(0));
    channel_ = std::make_unique<GrpcChannel>(*client_, e);
  }
  void TearDown() override {
    std::promise<void> down;
    loops_.at(0).post([&] {
      client_.reset();
      down.set_value();
    });
    down.get_future().wait();
    unlink(path_.c_str());
  }
  std::string path_;
  async::LoopGroup loops_{1, "test"};
  std::unique_ptr<Server> server_;
  std::unique_ptr<Client> client_;
  std::unique_ptr<GrpcChannel> channel_;
};

TEST_F(GrpcTest, UnaryCalls) {
  GrpcResult r = channel_->unaryAndWait("/t.S/Echo", "message");
  EXPECT_TRUE(r.status.ok()) << r.status.str();
  EXPECT_EQ(r.message, "message");
  r = channel_->unaryAndWait("/t.S/Other", "x");
  EXPECT_EQ(r.status.str(), "rpc error: code = Unimplemented desc = unknown method");
  GrpcOptions o;
  o.timeout = std::chrono::milliseconds(30);
  EXPECT_EQ(channel_->unaryAndWait("/t.S/Never", "x", o).status.code, GrpcCode::kDeadlineExceeded);
}

TEST_F(GrpcTest, ServerStream) {
  std::promise<GrpcStatus> end;
  int count = 0;
  auto s = channel_->open("/t.S/Many", {},
                          {[&](std::string m) { EXPECT_EQ(m, std::to_string(count++)); },
                           [&](const GrpcStatus& status) { end.set_value(status); }});
  s->send("");
  s->closeSend();
  GrpcStatus status = end.get_future().get();
  EXPECT_EQ(count, 100);
  EXPECT_EQ(status.code, GrpcCode::kFailedPrecondition);
  EXPECT_EQ(status.message, "that was all");
}

TEST_F(GrpcTest, BothWays) {
  std::promise<GrpcStatus> end;
  std::promise<std::string> first, second;
  int n = 0;
  auto s = channel_->open("/t.S/Chat", {},
                          {[&](std::string m) { (n++ == 0 ? first : second).set_value(m); },
                           [&](const GrpcStatus& status) { end.set_value(status); }});
  s->send("a");
  EXPECT_EQ(first.get_future().get(), "a");
  s->send(std::string(500000, 'b'));
  EXPECT_EQ(second.get_future().get().size(), 500000u);
  s->closeSend();
  EXPECT_TRUE(end.get_future().get().ok());
}

TEST_F(GrpcTest, UnreachableServerIsUnavailable) {
  Endpoint e;
  e.unixPath = "/nonexistent/km.sock";
  GrpcChannel gone(*client_, e);
  EXPECT_EQ(gone.unaryAndWait("/t.S/Echo", "x").status.code, GrpcCode::kUnavailable);
}

}  // namespace
}  // namespace km::http
