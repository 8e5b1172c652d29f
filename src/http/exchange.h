// One request and the answer to it.
#pragma once

#include <atomic>
#include <functional>
#include <memory>

#include "base/result.h"
#include "http/byte_stream.h"
#include "http/message.h"

namespace km::http {

// Kept by whoever will answer, and by its connection until the answer is sent. All calls may come from any
// thread unless said otherwise; calls of one thread keep their order. After the client is gone they do
// nothing.
class Exchange : public std::enable_shared_from_this<Exchange> {
 public:
  virtual ~Exchange() = default;
  const Request& request() const { return request_; }
  Loop& loop() const { return *request_.connection->loop; }

  // The status that the answer has begun with; 0 before.
  int status() const { return status_.load(std::memory_order_relaxed); }

  // The whole answer. Content-length and date are added; a HEAD, 204 or 304 sends no body.
  void respond(int status, Headers headers, Body body = {});

  // A streamed answer: start once, write any number of times, finish once.
  void start(int status, Headers headers);
  // Returns the bytes not sent yet, this one counted in: slow down when they grow, until onDrain.
  size_t write(Body bytes);
  void finish(Headers trailers = {});
  size_t queued() const {
    return posted_.load(std::memory_order_relaxed) + queued_.load(std::memory_order_relaxed);
  }
  // Called on the loop each time the queue falls to the low watermark (64 KiB) after it was over it.
  void onDrain(Task callback);
  // Called on the loop, once, when the client goes away or resets before the answer is sent completely;
  // at once if that has happened.
  void onClose(Task callback);
  // Gives the answer up: resets the stream, or closes the HTTP/1 connection.
  void reset();

  // For a handler that asked for the body as a stream; on the loop's thread, within handle(). The callback
  // gets the pieces, `last` with the end (maybe an empty piece). No call after onClose.
  void onBody(std::function<void(std::string_view bytes, bool last)> callback);
  void pauseBody();  // on the loop's thread
  void resumeBody();

  // Answers 101 with the headers and takes the connection over. On the loop's thread; only HTTP/1.1.
  virtual Result<std::shared_ptr<ByteStream>> upgrade(Headers headers);

 protected:
  friend class H2Session;
  virtual void respondNow(int status, Headers&& headers, Body&& body) = 0;
  virtual void startNow(int status, Headers&& headers) = 0;
  virtual void writeNow(Body&& bytes) = 0;
  virtual void finishNow(Headers&& trailers) = 0;
  virtual void resetNow() = 0;
  virtual void bodyPaused(bool paused) = 0;
  // On the loop.
  void setQueued(size_t bytes);  // calls onDrain when due
  void tellClosed();             // client is gone
  void done();                   // answered: drops the callbacks
  void deliverBody(std::string_view bytes, bool last);

  static constexpr size_t kLowWatermark = 64 << 10;
  Request request_;
  std::function<void(std::string_view, bool)> onBody_;
  bool closed_ = false;  // answered completely, or the client is gone
  bool gone_ = false;    // the client went away before
  bool bodyPaused_ = false;

 private:
  Task onDrain_, onClose_;
  std::atomic<size_t> posted_{0};  // under way to the loop
  std::atomic<size_t> queued_{0};  // on the loop
  bool wasOver_ = false;
  std::atomic<int> status_{0};
};

}  // namespace km::http
