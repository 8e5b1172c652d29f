#include "apiserver/stream_translator.h"

#include <array>

#include "apiserver/render.h"
#include "http/spdy_connection.h"
#include "http/text.h"
#include "http/websocket.h"

namespace km::apiserver {
namespace {

constexpr size_t kHighWatermark = 256 << 10;
constexpr std::string_view kTunnelPrefix = "SPDY/3.1+";
constexpr int kChannels = 5, kCloseSignal = 255;
enum Channel { kStdin, kStdout, kStderr, kError, kResize };
constexpr std::string_view kNames[] = {"stdin", "stdout", "stderr", "error", "resize"};

std::vector<std::string_view> offered(const http::Request& request) {
  std::vector<std::string_view> out;
  for (std::string_view list : request.headers.all("sec-websocket-protocol")) {
    for (std::string_view p : http::splitList(list)) out.push_back(p);
  }
  return out;
}

// One exec or attach: a WebSocket here, a SPDY connection there. It ends when the error stream and both outputs have ended, or either
// connection has. Each side holds it by its handler; it holds them until the end.
class Translation : public std::enable_shared_from_this<Translation> {
 public:
  explicit Translation(StreamsAsked asked) : asked_(asked) {}

  void begin(std::shared_ptr<http::WebSocket> socket);
  void connected(Result<std::shared_ptr<http::SpdyConnection>> connection);
  std::shared_ptr<http::SpdyConnectionHandler> spdyHandler();

 private:
  class Socket;
  class Spdy;
  void fromClient(std::string_view message);
  void fromKubelet(uint32_t stream, std::string_view bytes, bool last);
  void endInput(int channel);
  void finish(std::string status);
  void finishWith(const Status& why);
  void close();
  bool open(int channel) const {
    return channel == kError || (channel == kStdin && asked_.in) || (channel == kStdout && asked_.out) || (channel == kStderr && asked_.err) ||
           (channel == kResize && asked_.tty);
  }
  void send(int channel, std::string_view bytes) {
    std::string message(1, static_cast<char>(channel));
    message += bytes;
    socket_->send(true, message);
  }

  const StreamsAsked asked_;
  std::shared_ptr<http::WebSocket> socket_;
  std::shared_ptr<http::SpdyConnection> spdy_;
  std::array<uint32_t, kChannels> streams_{};
  std::array<bool, kChannels> ended_{};
  std::vector<std::string> early_;  // messages that came before the kubelet answered
  std::string status_;              // what the error stream said
  bool over_ = false;
};

class Translation::Socket : public http::WebSocketHandler {
 public:
  explicit Socket(std::shared_ptr<Translation> t) : t_(std::move(t)) {}
  void onMessage(bool, std::string_view payload) override { t_->fromClient(payload); }
  void onDrained() override {
    if (t_->spdy_) t_->spdy_->resumeReading();
  }
  void onClosed(uint16_t, std::string_view) override {
    t_->over_ = true;
    t_->close();
  }

 private:
  std::shared_ptr<Translation> t_;
};

class Translation::Spdy : public http::SpdyConnectionHandler {
 public:
  explicit Spdy(std::shared_ptr<Translation> t) : t_(std::move(t)) {}
  void onStream(uint32_t stream, const http::Headers&, bool) override {
    if (t_->spdy_) t_->spdy_->session().reset(stream, http::SpdySession::kRefusedStream);
  }
  void onReply(uint32_t stream, const http::Headers&, bool last) override {
    if (last) t_->fromKubelet(stream, "", true);
  }
  void onData(uint32_t stream, std::string_view bytes, bool last) override { t_->fromKubelet(stream, bytes, last); }
  void onReset(uint32_t stream, uint32_t) override { t_->fromKubelet(stream, "", true); }
  void onDrained() override {
    if (t_->socket_) t_->socket_->resumeReading();
  }
  void onClosed(const Status&) override { t_->finish(std::move(t_->status_)); }

 private:
  std::shared_ptr<Translation> t_;
};

std::shared_ptr<http::SpdyConnectionHandler> Translation::spdyHandler() { return std::make_shared<Spdy>(shared_from_this()); }

void Translation::begin(std::shared_ptr<http::WebSocket> socket) {
  socket_ = std::move(socket);
  socket_->setHandler(std::make_shared<Socket>(shared_from_this()));
  // An empty message tells the client that the connection stands.
  send(asked_.out ? kStdout : asked_.err ? kStderr : kError, "");
}

void Translation::connected(Result<std::shared_ptr<http::SpdyConnection>> connection) {
  if (!connection.ok()) return finishWith(connection.status());
  spdy_ = *connection;
  if (over_) return close();
  for (int channel : {kError, kStdin, kStdout, kStderr, kResize}) {
    if (!open(channel)) {
      ended_[channel] = true;
      continue;
    }
    streams_[channel] = spdy_->session().open({{"streamtype", kNames[channel]}}, false);
  }
  for (const std::string& message : std::exchange(early_, {})) fromClient(message);
}

void Translation::fromClient(std::string_view message) {
  if (message.empty() || over_) return;
  if (!spdy_) {
    early_.emplace_back(message);
    return;
  }
  int channel = static_cast<unsigned char>(message[0]);
  message.remove_prefix(1);
  if (channel == kCloseSignal) {
    if (!message.empty()) endInput(static_cast<unsigned char>(message[0]));
    return;
  }
  if ((channel != kStdin && channel != kResize) || !open(channel) || ended_[channel] || message.empty()) return;
  spdy_->session().data(streams_[channel], message, false);
  if (spdy_->queued() > kHighWatermark) socket_->pauseReading();
}

void Translation::endInput(int channel) {
  if (channel >= kChannels || !open(channel) || ended_[channel]) return;
  if (channel == kStdin || channel == kResize) {
    ended_[channel] = true;
    spdy_->session().data(streams_[channel], "", true);
  }
}

void Translation::fromKubelet(uint32_t stream, std::string_view bytes, bool last) {
  if (over_ || !spdy_) return;
  int channel = 0;
  while (channel < kChannels && (streams_[channel] != stream || stream == 0)) channel++;
  if (channel == kChannels) return;
  if (channel == kError) {
    status_ += bytes.substr(0, kHighWatermark);
  } else if (!bytes.empty() && (channel == kStdout || channel == kStderr)) {
    send(channel, bytes);
    if (socket_->queued() > kHighWatermark) spdy_->pauseReading();
  }
  if (!last) return;
  if (channel != kStdin && channel != kResize) ended_[channel] = true;
  if (ended_[kError] && ended_[kStdout] && ended_[kStderr]) finish(std::move(status_));
}

// The end as the client is told: a Status, whatever the kubelet had to say.
void Translation::finish(std::string status) {
  if (over_ || !socket_) return close();
  while (!status.empty() && status.back() == '\n') status.pop_back();
  if (status.empty()) {
    status = R"({"metadata":{},"status":"Success"})";
  } else if (status.front() != '{') {
    return finishWith(errors::failed(status));
  }
  over_ = true;
  send(kError, status);
  close();
}

void Translation::finishWith(const Status& why) {
  if (over_ || !socket_) return close();
  over_ = true;
  std::string status;
  renderStatus(errors::internal(why.message()), {}).take([&](http::Buffer&& b) { status += b.view(); });
  send(kError, status);
  close();
}

void Translation::close() {
  if (auto spdy = std::exchange(spdy_, nullptr)) spdy->close();
  if (auto socket = std::exchange(socket_, nullptr)) socket->close(1000, "");
}

}  // namespace

bool offersStreamClose(const http::Request& request) {
  for (std::string_view p : offered(request)) {
    if (p == kStreamProtocolV5) return true;
  }
  return false;
}

Status translateStreams(http::Client& client, const http::Endpoint& endpoint, std::string target, StreamsAsked asked, std::shared_ptr<http::Exchange> exchange) {
  if (asked.tty) asked.err = false;
  KM_ASSIGN(auto socket, http::acceptWebSocket(*exchange, {std::string(kStreamProtocolV5)}));
  auto t = std::make_shared<Translation>(asked);
  t->begin(std::move(socket));
  http::CallOptions options;
  options.method = "POST";
  options.target = std::move(target);
  options.headers.add("x-stream-protocol-version", "v4.channel.k8s.io");
  http::connectSpdy(client, endpoint, std::move(options), t->spdyHandler(), [t](auto connection, const http::Headers&) { t->connected(std::move(connection)); });
  return {};
}

std::string tunnelProtocol(const http::Request& request) {
  for (std::string_view p : offered(request)) {
    if (p.starts_with(kTunnelPrefix)) return std::string(p.substr(kTunnelPrefix.size()));
  }
  return "";
}

void tunnelStreams(http::Client& client, const http::Endpoint& endpoint, std::string target, std::string protocol, std::shared_ptr<http::Exchange> exchange,
                   http::Refusal refuse) {
  http::CallOptions options;
  options.method = "POST";
  options.target = std::move(target);
  options.headers.add("upgrade", "SPDY/3.1");
  options.headers.add("x-stream-protocol-version", protocol);
  client.upgrade(endpoint, std::move(options), [exchange, protocol, refuse = std::move(refuse)](Result<http::Upgraded> r) {
    if (!r.ok()) return refuse(exchange, 502, r.status().message());
    if (!r->stream) return refuse(exchange, r->status, std::move(r->body));
    auto socket = http::acceptWebSocket(*exchange, {std::string(kTunnelPrefix) + protocol});
    if (!socket.ok()) {
      r->stream->abort();
      return refuse(exchange, socket.status().code(), socket.status().message());
    }
    http::joinStreams(http::tunnelThrough(*socket), std::move(r->stream));
  });
}

}  // namespace km::apiserver
