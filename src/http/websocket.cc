#include "http/websocket.h"

#include <openssl/rand.h>

#include "http/text.h"
#include "http/websocket_codec.h"

namespace km::http {

namespace {

constexpr auto kCloseTime = std::chrono::seconds(5);

class WebSocketImpl final : public WebSocket,
                            public ByteStreamHandler,
                            public std::enable_shared_from_this<WebSocketImpl> {
 public:
  WebSocketImpl(std::shared_ptr<ByteStream> stream, WebSocketCodec::Role role, std::string protocol,
                size_t limit)
      : stream_(std::move(stream)),
        codec_(role, limit),
        protocol_(std::move(protocol)),
        timer_(stream_->loop()) {}

  void setHandler(std::shared_ptr<WebSocketHandler> handler) override {
    handler_ = std::move(handler);
    // The stream keeps us until it is closed; it holds back what comes until now.
    stream_->setHandler(shared_from_this());
  }
  const std::string& protocol() const override { return protocol_; }
  void send(bool binary, std::string_view payload) override {
    if (closeSent_) return;
    sendFrame(binary ? WebSocketCodec::kBinaryFrame : WebSocketCodec::kTextFrame, payload);
  }
  void ping(std::string_view payload) override {
    if (!closeSent_) sendFrame(WebSocketCodec::kPingFrame, payload.substr(0, 125));
  }
  void close(uint16_t code, std::string_view reason) override {
    if (closeSent_) return;
    sendClose(code, reason);
    std::weak_ptr<WebSocketImpl> weak = weak_from_this();
    timer_.start(kCloseTime, [weak] {
      if (auto self = weak.lock()) self->stream_->close();
    });
  }
  size_t queued() const override { return stream_->queued(); }
  void pauseReading() override {
    paused_ = true;
    stream_->pauseReading();
  }
  void resumeReading() override {
    paused_ = false;
    if (held_.empty()) return stream_->resumeReading();
    loop().post([self = shared_from_this()] {
      std::string bytes = std::move(self->held_);
      self->held_.clear();
      self->onData(bytes);
      if (!self->paused_) self->stream_->resumeReading();
    });
  }
  Loop& loop() override { return stream_->loop(); }

  void onData(std::string_view bytes) override {
    if (!held_.empty()) {
      held_.append(bytes);
      return;
    }
    while (!ended_) {
      if (paused_) {
        held_.assign(bytes);
        return;
      }
      auto event = codec_.next(bytes);
      auto keep = handler_;
      switch (event) {
        case WebSocketCodec::Event::kNeedMore:
          return;
        case WebSocketCodec::Event::kText:
        case WebSocketCodec::Event::kBinary:
          if (keep) keep->onMessage(event == WebSocketCodec::Event::kBinary, codec_.payload());
          break;
        case WebSocketCodec::Event::kPing:
          if (!closeSent_) sendFrame(WebSocketCodec::kPongFrame, codec_.payload());
          break;
        case WebSocketCodec::Event::kPong:
          break;
        case WebSocketCodec::Event::kClose:
          if (!closeSent_) sendClose(codec_.closeCode(), {});
          stream_->close();
          return end(codec_.closeCode(), codec_.reason());
        case WebSocketCodec::Event::kError:
          if (!closeSent_) sendClose(codec_.closeCode(), codec_.reason());
          stream_->close();
          return end(codec_.closeCode(), codec_.reason());
      }
    }
  }
  void onDrained() override {
    auto keep = handler_;
    if (keep) keep->onDrained();
  }
  void onClosed(const Status& why) override { end(1006, why.ok() ? "unexpected EOF" : why.message()); }

 private:
  void sendFrame(WebSocketCodec::Opcode opcode, std::string_view payload) {
    std::string out;
    out.reserve(payload.size() + 14);
    codec_.frame(opcode, payload, out);
    stream_->write(async::Buffer(std::move(out)));
  }
  void sendClose(uint16_t code, std::string_view reason) {
    closeSent_ = true;
    std::string out;
    codec_.closeFrame(code, reason, out);
    stream_->write(async::Buffer(std::move(out)));
  }
  void end(uint16_t code, std::string_view reason) {
    if (ended_) return;
    ended_ = true;
    timer_.cancel();
    auto handler = std::move(handler_);
    if (handler) handler->onClosed(code, reason);
  }

  std::shared_ptr<ByteStream> stream_;
  WebSocketCodec codec_;
  std::string protocol_;
  async::Timer timer_;
  std::shared_ptr<WebSocketHandler> handler_;
  std::string held_;  // arrived while paused
  bool paused_ = false;
  bool closeSent_ = false;
  bool ended_ = false;
};

class Tunnel final : public ByteStream, public WebSocketHandler, public std::enable_shared_from_this<Tunnel> {
 public:
  explicit Tunnel(std::shared_ptr<WebSocket> socket) : socket_(std::move(socket)) {}
  void setHandler(std::shared_ptr<ByteStreamHandler> handler) override {
    handler_ = std::move(handler);
    socket_->setHandler(shared_from_this());
  }
  void write(std::string_view bytes) override { socket_->send(true, bytes); }
  void write(async::Buffer bytes) override { socket_->send(true, bytes.view()); }
  size_t queued() const override { return socket_->queued(); }
  void pauseReading() override { socket_->pauseReading(); }
  void resumeReading() override { socket_->resumeReading(); }
  void close() override { socket_->close(1000, {}); }
  void abort() override { socket_->close(1001, {}); }
  async::Loop& loop() override { return socket_->loop(); }

  void onMessage(bool binary, std::string_view payload) override {
    if (!binary) return socket_->close(1003, "text in a tunnel of bytes");
    auto keep = handler_;
    if (keep) keep->onData(payload);
  }
  void onDrained() override {
    auto keep = handler_;
    if (keep) keep->onDrained();
  }
  void onClosed(uint16_t code, std::string_view reason) override {
    auto handler = std::move(handler_);
    if (!handler) return;
    bool orderly = code == 1000 || code == 1001 || code == 1005;
    handler->onClosed(
        orderly ? Status()
                : errors::failed("websocket closed: " + std::to_string(code) + " " + std::string(reason)));
  }

 private:
  std::shared_ptr<WebSocket> socket_;
  std::shared_ptr<ByteStreamHandler> handler_;
};

}  // namespace

bool isWebSocketUpgrade(const Request& request) {
  return request.headers.hasToken("connection", "upgrade") &&
         request.headers.hasToken("upgrade", "websocket");
}

Result<std::shared_ptr<WebSocket>> acceptWebSocket(Exchange& exchange,
                                                   const std::vector<std::string>& protocols,
                                                   size_t messageLimit) {
  const Request& r = exchange.request();
  if (r.method != "GET" || !isWebSocketUpgrade(r))
    return errors::badRequest("not a WebSocket upgrade request");
  if (r.headers.get("sec-websocket-version") != "13") {
    return errors::badRequest(
        "unsupported WebSocket version: 13 not found in 'Sec-Websocket-Version' header");
  }
  std::string_view key = r.headers.get("sec-websocket-key");
  if (key.size() != 24) return errors::badRequest("'Sec-WebSocket-Key' header must be 16 bytes in base64");
  std::vector<std::string_view> offered;
  for (std::string_view list : r.headers.all("sec-websocket-protocol")) {
    for (std::string_view p : splitList(list)) offered.push_back(p);
  }
  std::string chosen;
  for (const std::string& ours : protocols) {
    for (std::string_view theirs : offered) {
      if (chosen.empty() && ours == theirs) chosen = ours;
    }
  }
  if (chosen.empty() && !offered.empty())
    return errors::badRequest("none of the offered WebSocket protocols is supported");
  Headers headers{
      {"upgrade", "websocket"}, {"connection", "Upgrade"}, {"sec-websocket-accept", webSocketAccept(key)}};
  if (!chosen.empty()) headers.add("sec-websocket-protocol", chosen);
  KM_ASSIGN(auto stream, exchange.upgrade(std::move(headers)));
  std::shared_ptr<WebSocket> made =
      std::make_shared<WebSocketImpl>(std::move(stream), WebSocketCodec::Role::kServer, chosen, messageLimit);
  return made;
}

void connectWebSocket(Client& client, const Endpoint& endpoint, CallOptions options,
                      std::vector<std::string> protocols,
                      std::function<void(Result<std::shared_ptr<WebSocket>>)> callback, size_t messageLimit) {
  unsigned char random[16];
  RAND_bytes(random, sizeof random);
  std::string key = base64({reinterpret_cast<char*>(random), sizeof random});
  std::string list;
  for (const auto& p : protocols) list += (list.empty() ? "" : ", ") + p;
  options.headers.set("upgrade", "websocket");
  options.headers.set("connection", "Upgrade");
  options.headers.set("sec-websocket-version", "13");
  options.headers.set("sec-websocket-key", key);
  if (!list.empty()) options.headers.set("sec-websocket-protocol", list);
  client.upgrade(
      endpoint, std::move(options), [key, protocols, callback, messageLimit](Result<Upgraded> answer) {
        if (!answer.ok()) return callback(answer.status());
        if (!answer->stream) {
          return callback(Status(answer->status, "UpgradeFailure",
                                 answer->body.empty()
                                     ? "unable to upgrade connection: " + std::to_string(answer->status)
                                     : answer->body));
        }
        std::string protocol(answer->headers.get("sec-websocket-protocol"));
        bool known = protocol.empty();
        for (const auto& p : protocols) known = known || p == protocol;
        if (answer->headers.get("sec-websocket-accept") != webSocketAccept(key) || !known) {
          answer->stream->abort();
          return callback(errors::failed("websocket: bad handshake"));
        }
        std::shared_ptr<WebSocket> made = std::make_shared<WebSocketImpl>(
            std::move(answer->stream), WebSocketCodec::Role::kClient, protocol, messageLimit);
        callback(std::move(made));
      });
}

std::shared_ptr<ByteStream> tunnelThrough(std::shared_ptr<WebSocket> socket) {
  return std::make_shared<Tunnel>(std::move(socket));
}

}  // namespace km::http
