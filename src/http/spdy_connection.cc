#include "http/spdy_connection.h"

namespace km::http {

namespace {

class SpdyConnectionImpl final : public SpdyConnection, public ByteStreamHandler {
 public:
  SpdyConnectionImpl(std::shared_ptr<ByteStream> stream, SpdySession::Role role,
                     std::shared_ptr<SpdyConnectionHandler> handler, SpdySession::Options options)
      : stream_(std::move(stream)),
        handler_(std::move(handler)),
        session_(role, options, *handler_, [this](std::string_view bytes) { stream_->write(bytes); }) {}

  void start() { stream_->setHandler(std::static_pointer_cast<SpdyConnectionImpl>(shared_from_this())); }
  SpdySession& session() override { return session_; }
  size_t queued() const override { return stream_->queued(); }
  void pauseReading() override { stream_->pauseReading(); }
  void resumeReading() override { stream_->resumeReading(); }
  void close() override {
    if (closed_) return;
    session_.goAway();
    stream_->close();
  }
  Loop& loop() override { return stream_->loop(); }

  void onData(std::string_view bytes) override {
    auto keep = shared_from_this();
    if (closed_) return;
    Status s = session_.receive(bytes);
    if (s.ok()) return;
    failure_ = s;
    stream_->close();
  }
  void onDrained() override {
    if (!closed_) handler_->onDrained();
  }
  void onClosed(const Status& why) override {
    if (closed_) return;
    closed_ = true;
    handler_->onClosed(failure_.ok() ? why : failure_);
  }

 private:
  std::shared_ptr<ByteStream> stream_;
  std::shared_ptr<SpdyConnectionHandler> handler_;  // referred to by the session as long as it lives
  SpdySession session_;
  Status failure_;
  bool closed_ = false;
};

}  // namespace

std::shared_ptr<SpdyConnection> SpdyConnection::over(std::shared_ptr<ByteStream> stream,
                                                     SpdySession::Role role,
                                                     std::shared_ptr<SpdyConnectionHandler> handler,
                                                     SpdySession::Options options) {
  auto made = std::make_shared<SpdyConnectionImpl>(std::move(stream), role, std::move(handler), options);
  made->start();
  return made;
}

bool isSpdyUpgrade(const Request& request) {
  return request.headers.hasToken("connection", "upgrade") && request.headers.hasToken("upgrade", "SPDY/3.1");
}

Result<std::shared_ptr<SpdyConnection>> acceptSpdy(Exchange& exchange,
                                                   std::shared_ptr<SpdyConnectionHandler> handler,
                                                   Headers extra, SpdySession::Options options) {
  if (!isSpdyUpgrade(exchange.request())) {
    return errors::badRequest("unable to upgrade: missing upgrade headers in request");
  }
  extra.set("connection", "Upgrade");
  extra.set("upgrade", "SPDY/3.1");
  KM_ASSIGN(auto stream, exchange.upgrade(std::move(extra)));
  return SpdyConnection::over(std::move(stream), SpdySession::Role::kServer, std::move(handler), options);
}

void connectSpdy(Client& client, const Endpoint& endpoint, CallOptions options,
                 std::shared_ptr<SpdyConnectionHandler> handler,
                 std::function<void(Result<std::shared_ptr<SpdyConnection>>, const Headers&)> callback) {
  options.headers.set("connection", "Upgrade");
  options.headers.set("upgrade", "SPDY/3.1");
  client.upgrade(endpoint, std::move(options), [handler, callback](Result<Upgraded> answer) {
    if (!answer.ok()) return callback(answer.status(), {});
    if (!answer->stream) {
      return callback(
          Status(answer->status, "UpgradeFailure", "unable to upgrade connection: " + answer->body),
          answer->headers);
    }
    callback(SpdyConnection::over(std::move(answer->stream), SpdySession::Role::kClient, handler),
             answer->headers);
  });
}

}  // namespace km::http
