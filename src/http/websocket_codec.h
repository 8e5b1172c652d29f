// WebSocket framing (RFC 6455) without I/O, for both sides.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace km::http {

class WebSocketCodec {
 public:
  enum class Role { kServer, kClient };
  enum class Event { kNeedMore, kText, kBinary, kPing, kPong, kClose, kError };
  enum Opcode : uint8_t {
    kContinuation = 0,
    kTextFrame = 1,
    kBinaryFrame = 2,
    kCloseFrame = 8,
    kPingFrame = 9,
    kPongFrame = 10
  };

  // `limit` bounds a whole message, however it is fragmented.
  WebSocketCodec(Role role, size_t limit) : role_(role), limit_(limit) {}

  // Takes bytes from the front of `in`, up to one event. Messages come whole; control frames between
  // fragments come as they arrive. After kError nothing may follow.
  Event next(std::string_view& in);
  // Of a message, ping or pong; good until the next call.
  std::string_view payload() const { return payload_; }
  // Of kClose what the peer said (1005: nothing), of kError what to close with.
  uint16_t closeCode() const { return closeCode_; }
  std::string_view reason() const { return reason_; }

  // Appends one frame, masked if we are the client.
  void frame(Opcode opcode, std::string_view payload, std::string& out) const;
  void closeFrame(uint16_t code, std::string_view reason, std::string& out) const;

 private:
  Event fail(uint16_t code, std::string_view why);
  bool parseHeader(std::string_view& in);
  Event frameDone();
  Event closeReceived();

  const Role role_;
  const size_t limit_;
  char header_[14];
  size_t headerSize_ = 0;  // bytes of it that are here
  bool inPayload_ = false;
  bool finalFrame_ = false;
  uint8_t opcode_ = 0;
  uint8_t messageOpcode_ = 0;  // of the message in fragments; 0: none
  uint64_t left_ = 0;
  unsigned char mask_[4] = {0, 0, 0, 0};
  size_t maskAt_ = 0;
  std::string message_;
  std::string control_;
  std::string delivered_;
  std::string_view payload_;
  uint16_t closeCode_ = 0;
  std::string reason_;
  bool failed_ = false;
};

bool validUtf8(std::string_view text);

// Sec-WebSocket-Accept for a Sec-WebSocket-Key.
std::string webSocketAccept(std::string_view key);

}  // namespace km::http
