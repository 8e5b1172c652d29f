#include "http/byte_stream.h"

#include "async/connection.h"

namespace km::http {

namespace {

class ConnectionStream final : public ByteStream,
                               public async::ConnectionHandler,
                               public std::enable_shared_from_this<ConnectionStream> {
 public:
  ConnectionStream(std::shared_ptr<async::Connection> connection, std::string leftover)
      : connection_(std::move(connection)), leftover_(std::move(leftover)) {}

  void setHandler(std::shared_ptr<ByteStreamHandler> handler) override {
    handler_ = std::move(handler);
    if (closed_) {
      loop().post([self = shared_from_this()] { self->tellClosed(); });
      return;
    }
    if (!leftover_.empty()) {
      loop().post([self = shared_from_this()] { self->deliverLeftover(); });
    } else if (held_) {
      held_ = false;
      connection_->resumeReading();
    }
  }

  void write(std::string_view bytes) override { connection_->write(bytes); }
  void write(async::Buffer bytes) override { connection_->write(std::move(bytes)); }
  size_t queued() const override { return connection_->queued(); }
  void pauseReading() override {
    paused_ = true;
    connection_->pauseReading();
  }
  void resumeReading() override {
    paused_ = false;
    if (!leftover_.empty()) {
      loop().post([self = shared_from_this()] { self->deliverLeftover(); });
    } else {
      connection_->resumeReading();
    }
  }
  void close() override { connection_->closeAfterFlush(); }
  void abort() override { connection_->close(); }
  async::Loop& loop() override { return connection_->loop(); }

  void onData(std::string_view bytes) override {
    if (!handler_ || !leftover_.empty() || paused_) {
      leftover_.append(bytes);
      if (!handler_) held_ = true;
      connection_->pauseReading();
      return;
    }
    auto keep = handler_;
    keep->onData(bytes);
  }
  void onDrained() override {
    auto keep = handler_;
    if (keep) keep->onDrained();
  }
  void onClosed(const Status& why) override {
    closed_ = true;
    why_ = why;
    if (handler_) {
      deliverLeftover();
      tellClosed();
    }
  }
  void onAbandoned() override { auto dropped = std::move(handler_); }

 private:
  void deliverLeftover() {
    if (!handler_ || leftover_.empty() || paused_) return;
    std::string bytes = std::move(leftover_);
    leftover_.clear();
    auto keep = handler_;
    keep->onData(bytes);
    if (!closed_ && !paused_) connection_->resumeReading();
  }
  void tellClosed() {
    auto handler = std::move(handler_);
    if (handler) handler->onClosed(why_);
  }

  std::shared_ptr<async::Connection> connection_;
  std::shared_ptr<ByteStreamHandler> handler_;
  std::string leftover_;
  Status why_;
  bool closed_ = false;
  bool paused_ = false;
  bool held_ = false;  // reading waits for a handler
};

}  // namespace

std::shared_ptr<ByteStream> takeOver(std::shared_ptr<async::Connection> connection, std::string leftover) {
  auto stream = std::make_shared<ConnectionStream>(connection, std::move(leftover));
  connection->setHandler(stream);
  return stream;
}

}  // namespace km::http
