#include "http/spdy.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include "http/spdy_dictionary.h"

namespace km::http {
namespace {

TEST(SpdyDictionary, IsTheOneOfTheProtocol) {
  EXPECT_EQ(spdyDictionary().size(), 1423u);
  EXPECT_EQ(adler32(1, reinterpret_cast<const Bytef*>(spdyDictionary().data()), 1423), 0xe3c6a7c2u);
}

TEST(SpdyHeaders, RoundTripOverManyBlocks) {
  SpdyDeflater deflater;
  SpdyInflater inflater;
  for (int i = 0; i < 50; ++i) {
    std::string wire;
    deflater.compress({{"streamtype", "stdin"}, {"n", std::to_string(i)}, {"twice", "a"}, {"twice", "b"}},
                      wire);
    Headers h;
    ASSERT_TRUE(inflater.decompress(wire, h));
    EXPECT_EQ(h.get("n"), std::to_string(i));
    EXPECT_EQ(h.all("twice").size(), 2u);
  }
  Headers h;
  EXPECT_FALSE(inflater.decompress("garbage", h));
}

// One end of a session whose events are written down.
struct End : SpdyEvents {
  End(SpdySession::Role role, SpdySession::Options o)
      : session(role, o, *this, [this](std::string_view b) { out += b; }) {}
  void onStream(uint32_t s, const Headers& h, bool last) override {
    log += "stream " + std::to_string(s) + " " + std::string(h.get("streamtype")) + (last ? " last; " : "; ");
    if (answer) session.reply(s, {{"ok", "1"}});
  }
  void onReply(uint32_t s, const Headers& h, bool last) override {
    log += "reply " + std::to_string(s) + "; ";
  }
  void onData(uint32_t s, std::string_view b, bool last) override {
    bytes += b;
    if (consume) session.consumed(s, b.size());
    if (last) log += "end " + std::to_string(s) + "; ";
  }
  void onReset(uint32_t s, uint32_t status) override {
    log += "reset " + std::to_string(s) + " " + std::to_string(status) + "; ";
  }
  void onPong(uint32_t id) override { log += "pong " + std::to_string(id) + "; "; }
  void onGoAway(uint32_t last, uint32_t status) override { log += "goaway " + std::to_string(last) + "; "; }
  std::string out, log, bytes;
  bool answer = true, consume = true;
  SpdySession session;
};

// Carries bytes to and fro, some at a time, until both are silent.
void talk(End& a, End& b, size_t step = 1000) {
  while (!a.out.empty() || !b.out.empty()) {
    std::string x = a.out.substr(0, step), y = b.out.substr(0, step);
    a.out.erase(0, step);
    b.out.erase(0, step);
    ASSERT_TRUE(b.session.receive(x).ok());
    ASSERT_TRUE(a.session.receive(y).ok());
  }
}

class SpdyTest : public testing::TestWithParam<bool> {
 protected:
  SpdySession::Options options() {
    SpdySession::Options o;
    o.flowControl = GetParam();
    return o;
  }
};
INSTANTIATE_TEST_SUITE_P(FlowControl, SpdyTest, testing::Bool());

TEST_P(SpdyTest, StreamsCarryDataBothWays) {
  End client(SpdySession::Role::kClient, options()), server(SpdySession::Role::kServer, options());
  uint32_t one = client.session.open({{"streamtype", "stdout"}}, false);
  uint32_t two = client.session.open({{"streamtype", "error"}}, true);
  EXPECT_EQ(one, 1u);
  EXPECT_EQ(two, 3u);
  std::string big(100000, 'q');
  client.session.data(one, big, true);
  talk(client, server, 77);
  EXPECT_EQ(server.log, "stream 1 stdout; stream 3 error last; end 1; ");
  EXPECT_EQ(client.log, "reply 1; reply 3; ");
  EXPECT_TRUE(server.bytes == big);
  server.session.data(one, "back", true);
  server.session.data(two, "", true);
  talk(client, server);
  EXPECT_EQ(client.bytes, "back");
  EXPECT_EQ(client.session.streams(), 0u);
  EXPECT_EQ(server.session.streams(), 0u);
}

TEST(Spdy, WindowHoldsDataBack) {
  SpdySession::Options o;
  o.flowControl = true;
  End client(SpdySession::Role::kClient, o), server(SpdySession::Role::kServer, o);
  server.consume = false;
  uint32_t id = client.session.open({}, false);
  client.session.data(id, std::string(100000, 'w'), true);
  talk(client, server);
  EXPECT_EQ(server.bytes.size(), 65536u);
  EXPECT_EQ(client.session.waiting(id), 100000u - 65536u);
  server.session.consumed(id, 65536);
  talk(client, server);
  EXPECT_EQ(server.bytes.size(), 100000u);
}

TEST(Spdy, ResetPingAndGoAway) {
  End client(SpdySession::Role::kClient, {}), server(SpdySession::Role::kServer, {});
  uint32_t id = client.session.open({{"streamtype", "a"}}, false);
  talk(client, server);
  client.session.reset(id, SpdySession::kCancel);
  EXPECT_EQ(client.session.ping(), 1u);
  talk(client, server);
  server.session.goAway();
  talk(client, server);
  EXPECT_EQ(server.log, "stream 1 a; reset 1 5; ");
  EXPECT_EQ(client.log, "reply 1; pong 1; goaway 1; ");
  EXPECT_EQ(client.session.open({}, false), 0u);
}

TEST(Spdy, RefusesGarbageAndTooManyStreams) {
  End server(SpdySession::Role::kServer, {});
  EXPECT_FALSE(server.session.receive(std::string("\x80\x02\x00\x01\x00\x00\x00\x00", 8)).ok());
  SpdySession::Options o;
  o.maxStreams = 1;
  End client(SpdySession::Role::kClient, {}), small(SpdySession::Role::kServer, o);
  client.session.open({}, false);
  client.session.open({}, false);
  talk(client, small);
  EXPECT_NE(client.log.find("reset 3 3"), std::string::npos) << client.log;
}

}  // namespace
}  // namespace km::http
