// SPDY/3.1 without I/O, for both sides: bytes in, events and bytes out. For exec, attach and port-forward.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "http/headers.h"

struct z_stream_s;

namespace km::http {

// Header compression of one direction: one stream of zlib for the life of the session.
class SpdyDeflater {
 public:
  SpdyDeflater();
  ~SpdyDeflater();
  void compress(const Headers& headers, std::string& out);

 private:
  std::unique_ptr<z_stream_s> z_;
};

class SpdyInflater {
 public:
  SpdyInflater();
  ~SpdyInflater();
  // False on bytes that are no header block, or one over 256 KiB.
  bool decompress(std::string_view block, Headers& headers);

 private:
  std::unique_ptr<z_stream_s> z_;
};

// Called from within receive(); may call into the session.
class SpdyEvents {
 public:
  virtual ~SpdyEvents() = default;
  // The peer opened a stream. Answer with reply() or reset(). `last`: it will send nothing.
  virtual void onStream(uint32_t stream, const Headers& headers, bool last) = 0;
  virtual void onReply(uint32_t stream, const Headers& headers, bool last) = 0;
  virtual void onHeaders(uint32_t stream, const Headers& headers, bool last) {}
  virtual void onData(uint32_t stream, std::string_view bytes, bool last) = 0;
  virtual void onReset(uint32_t stream, uint32_t status) = 0;
  virtual void onPong(uint32_t id) {}
  virtual void onGoAway(uint32_t lastGood, uint32_t status) {}
  // Data that waited for the peer's window was sent.
  virtual void onWindow(uint32_t stream) {}
};

class SpdySession {
 public:
  enum class Role { kServer, kClient };
  enum ResetStatus : uint32_t {
    kProtocolError = 1,
    kInvalidStream = 2,
    kRefusedStream = 3,
    kCancel = 5,
    kInternalError = 6,
    kFlowControlError = 7,
    kStreamInUse = 8,
    kStreamAlreadyClosed = 9
  };

  struct Options {
    // Whether the peer keeps windows. The library behind kubectl and the kubelet (spdystream) neither honours
    // nor sends WINDOW_UPDATE, so it is off by default; then everything is sent at once.
    bool flowControl = false;
    uint32_t window = 64 << 10;  // that we open to the peer for a stream, if flowControl
    size_t maxStreams = 1000;    // open ones of the peer; more are refused
  };

  // `output` gets bytes for the peer, whole frames. Neither it nor the events may destroy the session.
  SpdySession(Role role, Options options, SpdyEvents& events, std::function<void(std::string_view)> output);

  // An error is final: close the connection. A GOAWAY was put out.
  Status receive(std::string_view bytes);

  // Gives back the stream's number, or 0 if the peer is going away or numbers ran out. `last`: we send
  // nothing.
  uint32_t open(const Headers& headers, bool last);
  void reply(uint32_t stream, const Headers& headers, bool last = false);
  void headers(uint32_t stream, const Headers& headers, bool last = false);
  // `last` closes our direction. Waits inside for the peer's window under flow control.
  void data(uint32_t stream, std::string_view bytes, bool last);
  size_t waiting(uint32_t stream) const;  // bytes that wait for the window
  // The application took bytes of onData: opens the window again, if flowControl.
  void consumed(uint32_t stream, size_t bytes);
  void reset(uint32_t stream, uint32_t status);
  uint32_t ping();
  void goAway(uint32_t status = 0);

  size_t streams() const { return streams_.size(); }
  bool goingAway() const { return peerGoingAway_ || goAwaySent_; }

 private:
  struct Stream {
    bool sent = false;      // our direction is closed
    bool received = false;  // the peer's direction is closed
    bool replied = false;
    int64_t sendWindow = 64 << 10;
    int64_t receiveWindow = 64 << 10;
    size_t toReturn = 0;  // consumed, not told yet
    std::string waiting;
    bool lastWaits = false;
  };

  Status fail(std::string_view why);
  Status onFrame(std::string_view frame);
  Status onControl(uint16_t type, uint8_t flags, std::string_view payload);
  Status onSynStream(uint8_t flags, std::string_view payload);
  Status onSynReply(uint8_t flags, std::string_view payload, bool reply);
  Status onData(uint32_t id, uint8_t flags, std::string_view payload);
  void onWindowUpdate(uint32_t id, uint32_t delta);
  void onSettings(std::string_view payload);
  void control(uint16_t type, uint8_t flags, std::string_view payload);
  void headerFrame(uint16_t type, uint8_t flags, std::string_view prefix, const Headers& headers);
  void sendData(uint32_t id, Stream& stream, std::string_view bytes, bool last);
  void closeIfDone(uint32_t id);
  Stream* find(uint32_t id) {
    auto it = streams_.find(id);
    return it == streams_.end() ? nullptr : &it->second;
  }
  bool ours(uint32_t id) const { return (id & 1) == (role_ == Role::kClient ? 1u : 0u); }

  const Role role_;
  const Options options_;
  SpdyEvents& events_;
  std::function<void(std::string_view)> output_;
  SpdyDeflater deflater_;
  SpdyInflater inflater_;
  std::map<uint32_t, Stream> streams_;
  std::string buffer_;
  uint32_t nextStream_;
  uint32_t nextPing_;
  uint32_t lastPeerStream_ = 0;
  size_t peerStreams_ = 0;
  int64_t initialSendWindow_ = 64 << 10;
  bool peerGoingAway_ = false;
  bool goAwaySent_ = false;
  bool failed_ = false;
};

}  // namespace km::http
