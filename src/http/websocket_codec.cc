#include "http/websocket_codec.h"

#include <openssl/rand.h>

#include <algorithm>

#include "http/text.h"

namespace km::http {

bool validUtf8(std::string_view text) {
  auto* p = reinterpret_cast<const unsigned char*>(text.data());
  size_t n = text.size();
  for (size_t i = 0; i < n;) {
    unsigned char c = p[i];
    size_t more = c < 0x80                 ? 0
                  : c >= 0xc2 && c <= 0xdf ? 1
                  : c >= 0xe0 && c <= 0xef ? 2
                  : c >= 0xf0 && c <= 0xf4 ? 3
                                           : 9;
    if (more == 9 || i + more >= n) return false;
    for (size_t k = 1; k <= more; ++k) {
      if ((p[i + k] & 0xc0) != 0x80) return false;
    }
    if ((c == 0xe0 && p[i + 1] < 0xa0) || (c == 0xed && p[i + 1] > 0x9f) || (c == 0xf0 && p[i + 1] < 0x90) ||
        (c == 0xf4 && p[i + 1] > 0x8f)) {
      return false;
    }
    i += more + 1;
  }
  return true;
}

std::string webSocketAccept(std::string_view key) {
  return base64(sha1(std::string(key) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
}

WebSocketCodec::Event WebSocketCodec::fail(uint16_t code, std::string_view why) {
  failed_ = true;
  closeCode_ = code;
  reason_ = why;
  return Event::kError;
}

// True once the header is complete; on an error failed_ is set.
bool WebSocketCodec::parseHeader(std::string_view& in) {
  while (true) {
    size_t want = 2;
    if (headerSize_ >= 2) {
      auto second = static_cast<unsigned char>(header_[1]);
      size_t length = second & 0x7f;
      want += (length == 126 ? 2 : length == 127 ? 8 : 0) + ((second & 0x80) != 0 ? 4 : 0);
      if (headerSize_ == want) break;
    }
    if (in.empty()) return false;
    header_[headerSize_++] = in.front();
    in.remove_prefix(1);
  }
  auto* h = reinterpret_cast<unsigned char*>(header_);
  size_t size = headerSize_;
  headerSize_ = 0;
  finalFrame_ = (h[0] & 0x80) != 0;
  opcode_ = h[0] & 0x0f;
  bool masked = (h[1] & 0x80) != 0;
  size_t length = h[1] & 0x7f;
  left_ = length;
  if (length >= 126) {
    size_t bytes = length == 126 ? 2 : 8;
    left_ = 0;
    for (size_t i = 0; i < bytes; ++i) left_ = left_ << 8 | h[2 + i];
    if (left_ < 126 || (bytes == 8 && (left_ < 65536 || left_ >> 63 != 0)))
      return fail(1002, "bad frame length"), false;
  }
  if (masked != (role_ == Role::kServer)) return fail(1002, "bad frame masking"), false;
  if (masked) std::copy(h + size - 4, h + size, mask_);
  maskAt_ = 0;
  if ((h[0] & 0x70) != 0) return fail(1002, "reserved bits are set"), false;
  if (opcode_ >= 8) {
    if (opcode_ > kPongFrame) return fail(1002, "unknown opcode"), false;
    if (!finalFrame_ || left_ > 125) return fail(1002, "bad control frame"), false;
    control_.clear();
  } else {
    if (opcode_ > kBinaryFrame) return fail(1002, "unknown opcode"), false;
    if ((opcode_ == kContinuation) != (messageOpcode_ != 0)) return fail(1002, "bad fragmentation"), false;
    if (opcode_ != kContinuation) messageOpcode_ = opcode_;
    if (left_ > limit_ - message_.size()) return fail(1009, "message too big"), false;
  }
  return true;
}

WebSocketCodec::Event WebSocketCodec::next(std::string_view& in) {
  while (true) {
    if (failed_) return Event::kError;
    if (!inPayload_) {
      if (!parseHeader(in)) return failed_ ? Event::kError : Event::kNeedMore;
      inPayload_ = true;
    }
    std::string& to = opcode_ >= 8 ? control_ : message_;
    size_t take = static_cast<size_t>(std::min<uint64_t>(left_, in.size()));
    size_t at = to.size();
    to.append(in.substr(0, take));
    if (role_ == Role::kServer) {
      for (size_t i = 0; i < take; ++i)
        to[at + i] = static_cast<char>(to[at + i] ^ static_cast<char>(mask_[maskAt_++ & 3]));
    }
    in.remove_prefix(take);
    left_ -= take;
    if (left_ > 0) return Event::kNeedMore;
    inPayload_ = false;
    if (opcode_ < 8 && !finalFrame_) continue;
    return frameDone();
  }
}

WebSocketCodec::Event WebSocketCodec::frameDone() {
  if (opcode_ == kCloseFrame) return closeReceived();
  if (opcode_ == kPingFrame || opcode_ == kPongFrame) {
    payload_ = control_;
    return opcode_ == kPingFrame ? Event::kPing : Event::kPong;
  }
  bool text = messageOpcode_ == kTextFrame;
  messageOpcode_ = 0;
  delivered_.swap(message_);
  message_.clear();
  if (message_.capacity() > (64 << 10)) message_ = std::string();
  if (text && !validUtf8(delivered_)) return fail(1007, "text is not UTF-8");
  payload_ = delivered_;
  return text ? Event::kText : Event::kBinary;
}

WebSocketCodec::Event WebSocketCodec::closeReceived() {
  if (control_.empty()) {
    closeCode_ = 1005;
    reason_.clear();
    return Event::kClose;
  }
  if (control_.size() == 1) return fail(1002, "bad close frame");
  closeCode_ = static_cast<uint16_t>(static_cast<unsigned char>(control_[0]) << 8 |
                                     static_cast<unsigned char>(control_[1]));
  reason_ = control_.substr(2);
  bool known = (closeCode_ >= 1000 && closeCode_ <= 1014 && closeCode_ != 1004 && closeCode_ != 1005 &&
                closeCode_ != 1006) ||
               (closeCode_ >= 3000 && closeCode_ <= 4999);
  if (!known || !validUtf8(reason_)) return fail(1002, "bad close frame");
  return Event::kClose;
}

void WebSocketCodec::frame(Opcode opcode, std::string_view payload, std::string& out) const {
  unsigned char maskBit = role_ == Role::kClient ? 0x80 : 0;
  out.push_back(static_cast<char>(0x80 | opcode));
  size_t n = payload.size();
  int bytes = 0;
  if (n < 126) {
    out.push_back(static_cast<char>(maskBit | n));
  } else if (n < 65536) {
    out.push_back(static_cast<char>(maskBit | 126));
    bytes = 2;
  } else {
    out.push_back(static_cast<char>(maskBit | 127));
    bytes = 8;
  }
  for (int i = bytes - 1; i >= 0; --i) out.push_back(static_cast<char>(static_cast<uint64_t>(n) >> (8 * i)));
  if (maskBit == 0) {
    out.append(payload);
    return;
  }
  unsigned char mask[4];
  RAND_bytes(mask, sizeof mask);
  out.append(reinterpret_cast<char*>(mask), 4);
  size_t at = out.size();
  out.append(payload);
  for (size_t i = 0; i < n; ++i)
    out[at + i] = static_cast<char>(out[at + i] ^ static_cast<char>(mask[i & 3]));
}

void WebSocketCodec::closeFrame(uint16_t code, std::string_view reason, std::string& out) const {
  std::string payload;
  if (code != 1005) {
    payload.push_back(static_cast<char>(code >> 8));
    payload.push_back(static_cast<char>(code));
    payload.append(reason.substr(0, 120));
  }
  frame(kCloseFrame, payload, out);
}

}  // namespace km::http
