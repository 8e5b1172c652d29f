// The server's side of HTTP/2. Internal to the room.
#pragma once

#include <nghttp2/nghttp2.h>

#include <atomic>
#include <memory>
#include <vector>

#include "http/h2_util.h"
#include "http/session.h"

namespace km::http {

class H2Session;

// A stream: in the session's list while it is open.
class H2Exchange final : public Exchange {
 public:
  H2Exchange(H2Session* session, int32_t stream, std::shared_ptr<std::atomic<int>> live)
      : session_(session), stream_(stream), live_(std::move(live)) {
    live_->fetch_add(1, std::memory_order_relaxed);
  }
  ~H2Exchange() override { live_->fetch_sub(1, std::memory_order_relaxed); }

 private:
  friend class H2Session;
  void respondNow(int status, Headers&& headers, Body&& body) override;
  void startNow(int status, Headers&& headers) override;
  void writeNow(Body&& bytes) override;
  void finishNow(Headers&& trailers) override;
  void resetNow() override;
  void bodyPaused(bool paused) override;

  H2Session* session_;  // null once the stream is closed
  int32_t stream_;
  std::shared_ptr<std::atomic<int>> live_;
  std::shared_ptr<H2Exchange> self_;  // while the stream is open
  H2Exchange* previous_ = nullptr;    // in the session's list
  H2Exchange* next_ = nullptr;
  OutgoingData out_;
  Headers trailers_;
  size_t headerBytes_ = 0;
  size_t limit_ = 0;
  size_t unconsumed_ = 0;  // bytes of a paused body the client may not send again yet
  bool started_ = false;
  bool bodyless_ = false;
  bool requestDone_ = false;
  bool responseDone_ = false;
  bool throwAway_ = false;
};

// Over nghttp2: bytes in, callbacks and bytes out.
class H2Session final : public ServerSession, public std::enable_shared_from_this<H2Session> {
 public:
  H2Session(SessionContext context, std::shared_ptr<async::Connection> connection);
  ~H2Session() override { nghttp2_session_del(session_); }

  void onReady() override { schedulePump(); }
  void onData(std::string_view bytes) override;
  void onReadDone() override { pump(); }
  void onDrained() override { pump(); }
  void onClosed(const Status& why) override;
  void shutdown() override;
  void sweep(Duration now) override;

  void submit(H2Exchange& x, int status, const Headers& headers, const size_t* length, bool data);
  void resumeData(H2Exchange& x);
  void resetStream(H2Exchange& x, uint32_t code);
  void consume(H2Exchange& x, size_t bytes);
  void schedulePump();

  int onBeginHeaders(const nghttp2_frame* frame);
  int onHeader(const nghttp2_frame* frame, std::string_view name, std::string_view value);
  int onFrame(const nghttp2_frame* frame);
  int onDataChunk(int32_t stream, std::string_view bytes);
  int onFrameSent(const nghttp2_frame* frame);
  int onStreamClose(int32_t stream, uint32_t code);
  ssize_t readData(H2Exchange& x, size_t length, uint32_t* flags);
  int sendData(H2Exchange& x, const nghttp2_frame* frame, const uint8_t* header, size_t length);

 private:
  void pump();
  void sendLateResets();
  void headDone(H2Exchange& x);
  void requestDone(H2Exchange& x);
  void unlink(H2Exchange& x);
  H2Exchange* find(int32_t stream) {
    return static_cast<H2Exchange*>(nghttp2_session_get_stream_user_data(session_, stream));
  }

  nghttp2_session* session_ = nullptr;
  H2Exchange* first_ = nullptr;
  size_t streams_ = 0;
  std::shared_ptr<std::atomic<int>> live_ = std::make_shared<std::atomic<int>>(0);
  std::unique_ptr<async::Timer> finalGoaway_, lateReset_;
  std::vector<int32_t> lateResets_;
  Duration idleSince_;
  bool receiving_ = false;
  bool pumping_ = false;
  bool pumpScheduled_ = false;
  bool draining_ = false;
  bool dead_ = false;
};

}  // namespace km::http
