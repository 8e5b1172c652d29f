#include "http/spdy.h"

#include <algorithm>

#include "base/result.h"

namespace km::http {

namespace {
enum Type : uint16_t {
  kSynStream = 1,
  kSynReply = 2,
  kRstStream = 3,
  kSettings = 4,
  kPing = 6,
  kGoAway = 7,
  kHeaders = 8,
  kWindowUpdate = 9
};
constexpr uint8_t kFin = 1;
constexpr uint8_t kUnidirectional = 2;
constexpr uint32_t kInitialWindowSetting = 7;
constexpr size_t kMaxControlFrame = 256 << 10;
constexpr size_t kMaxDataFrame = 32 << 10;  // that we send

uint32_t read32(std::string_view in, size_t at) {
  auto* p = reinterpret_cast<const unsigned char*>(in.data() + at);
  return uint32_t{p[0]} << 24 | uint32_t{p[1]} << 16 | uint32_t{p[2]} << 8 | p[3];
}

void put32(std::string& out, uint32_t n) {
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(n >> shift));
}
}  // namespace

SpdySession::SpdySession(Role role, Options options, SpdyEvents& events,
                         std::function<void(std::string_view)> output)
    : role_(role),
      options_(options),
      events_(events),
      output_(std::move(output)),
      nextStream_(role == Role::kClient ? 1 : 2),
      nextPing_(nextStream_) {
  if (options_.flowControl && options_.window != (64 << 10)) {
    std::string payload;
    put32(payload, 1);
    put32(payload, kInitialWindowSetting);  // flags 0
    put32(payload, options_.window);
    control(kSettings, 0, payload);
  }
}

Status SpdySession::fail(std::string_view why) {
  failed_ = true;
  goAway(kProtocolError);
  return errors::failed("spdy: " + std::string(why));
}

Status SpdySession::receive(std::string_view bytes) {
  if (failed_) return errors::failed("spdy: the session has failed");
  std::string held;
  if (!buffer_.empty()) {
    held = std::move(buffer_);
    buffer_.clear();
    held.append(bytes);
    bytes = held;
  }
  while (bytes.size() >= 8) {
    size_t size = read32(bytes, 4) & 0xffffff;
    bool isControl = (bytes[0] & 0x80) != 0;
    if (isControl && size > kMaxControlFrame) return fail("control frame is too large");
    if (bytes.size() < 8 + size) break;
    KM_TRY(onFrame(bytes.substr(0, 8 + size)));
    bytes.remove_prefix(8 + size);
  }
  buffer_.assign(bytes);
  return {};
}

Status SpdySession::onFrame(std::string_view frame) {
  uint32_t word = read32(frame, 0);
  uint8_t flags = static_cast<uint8_t>(frame[4]);
  std::string_view payload = frame.substr(8);
  if ((word & 0x80000000) == 0) return onData(word, flags, payload);
  if ((word >> 16 & 0x7fff) != 3) return fail("unsupported version");
  return onControl(static_cast<uint16_t>(word), flags, payload);
}

Status SpdySession::onControl(uint16_t type, uint8_t flags, std::string_view payload) {
  static constexpr size_t least[] = {0, 10, 4, 8, 4, 0, 4, 8, 4, 8};
  if (type < std::size(least) && payload.size() < least[type]) return fail("frame is too short");
  uint32_t first = payload.size() >= 4 ? read32(payload, 0) & 0x7fffffff : 0;
  switch (type) {
    case kSynStream:
      return onSynStream(flags, payload);
    case kSynReply:
    case kHeaders:
      return onSynReply(flags, payload, type == kSynReply);
    case kRstStream: {
      auto it = streams_.find(first);
      if (it == streams_.end()) return {};
      if (!ours(first)) --peerStreams_;
      streams_.erase(it);
      events_.onReset(first, read32(payload, 4));
      return {};
    }
    case kSettings:
      onSettings(payload);
      return {};
    case kPing: {
      uint32_t id = read32(payload, 0);
      if (ours(id)) {
        events_.onPong(id);
      } else {
        control(kPing, 0, payload.substr(0, 4));
      }
      return {};
    }
    case kGoAway:
      peerGoingAway_ = true;
      events_.onGoAway(first, read32(payload, 4));
      return {};
    case kWindowUpdate:
      onWindowUpdate(first, read32(payload, 4) & 0x7fffffff);
      return {};
    default:
      return {};  // to be ignored, says the protocol
  }
}

Status SpdySession::onSynStream(uint8_t flags, std::string_view payload) {
  uint32_t id = read32(payload, 0) & 0x7fffffff;
  Headers headers;
  // Read even if the stream is refused: the compression runs on over all blocks.
  if (!inflater_.decompress(payload.substr(10), headers)) return fail("bad header block");
  if (id == 0 || ours(id)) return fail("bad stream id");
  if (id <= lastPeerStream_) {
    reset(id, kProtocolError);
    return {};
  }
  lastPeerStream_ = id;
  if (goAwaySent_) return {};
  if (peerStreams_ >= options_.maxStreams) {
    reset(id, kRefusedStream);
    return {};
  }
  Stream& stream = streams_[id];
  ++peerStreams_;
  stream.received = (flags & kFin) != 0;
  stream.sent = (flags & kUnidirectional) != 0;
  stream.sendWindow = initialSendWindow_;
  stream.receiveWindow = options_.window;
  bool last = stream.received;
  events_.onStream(id, headers, last);
  closeIfDone(id);
  return {};
}

Status SpdySession::onSynReply(uint8_t flags, std::string_view payload, bool reply) {
  uint32_t id = read32(payload, 0) & 0x7fffffff;
  Headers headers;
  if (!inflater_.decompress(payload.substr(4), headers)) return fail("bad header block");
  Stream* stream = find(id);
  if (stream == nullptr) return {};
  if (reply && (!ours(id) || stream->replied)) {
    reset(id, kStreamInUse);
    return {};
  }
  bool last = (flags & kFin) != 0;
  if (reply) stream->replied = true;
  if (last) stream->received = true;
  if (reply) {
    events_.onReply(id, headers, last);
  } else {
    events_.onHeaders(id, headers, last);
  }
  closeIfDone(id);
  return {};
}

Status SpdySession::onData(uint32_t id, uint8_t flags, std::string_view payload) {
  Stream* stream = find(id);
  if (stream == nullptr) {
    reset(id, kInvalidStream);
    return {};
  }
  if (stream->received) {
    reset(id, kStreamAlreadyClosed);
    return {};
  }
  if (options_.flowControl) {
    stream->receiveWindow -= static_cast<int64_t>(payload.size());
    if (stream->receiveWindow < 0) {
      reset(id, kFlowControlError);
      events_.onReset(id, kFlowControlError);
      return {};
    }
  }
  bool last = (flags & kFin) != 0;
  if (last) stream->received = true;
  events_.onData(id, payload, last);
  closeIfDone(id);
  return {};
}

void SpdySession::onWindowUpdate(uint32_t id, uint32_t delta) {
  Stream* stream = find(id);
  if (stream == nullptr || !options_.flowControl) return;
  stream->sendWindow += delta;
  if (stream->sendWindow > 0x7fffffff) {
    reset(id, kFlowControlError);
    events_.onReset(id, kFlowControlError);
    return;
  }
  if (stream->waiting.empty()) return;
  std::string bytes = std::move(stream->waiting);
  stream->waiting.clear();
  sendData(id, *stream, bytes, stream->lastWaits);
  bool sentAll = stream->waiting.empty();
  closeIfDone(id);
  if (sentAll) events_.onWindow(id);
}

void SpdySession::onSettings(std::string_view payload) {
  uint32_t count = read32(payload, 0);
  payload.remove_prefix(4);
  for (; count > 0 && payload.size() >= 8; --count, payload.remove_prefix(8)) {
    if ((read32(payload, 0) & 0xffffff) != kInitialWindowSetting) continue;
    int64_t window = read32(payload, 4) & 0x7fffffff;
    for (auto& [id, stream] : streams_) stream.sendWindow += window - initialSendWindow_;
    initialSendWindow_ = window;
  }
  // A larger window may free what waits.
  std::vector<uint32_t> ids;
  for (auto& [id, stream] : streams_) {
    if (!stream.waiting.empty()) ids.push_back(id);
  }
  for (uint32_t id : ids) onWindowUpdate(id, 0);
}

void SpdySession::control(uint16_t type, uint8_t flags, std::string_view payload) {
  std::string out;
  out.reserve(8 + payload.size());
  put32(out, 0x80030000u | type);
  put32(out, uint32_t{flags} << 24 | static_cast<uint32_t>(payload.size()));
  out.append(payload);
  output_(out);
}

void SpdySession::headerFrame(uint16_t type, uint8_t flags, std::string_view prefix, const Headers& headers) {
  std::string payload(prefix);
  deflater_.compress(headers, payload);
  control(type, flags, payload);
}

uint32_t SpdySession::open(const Headers& headers, bool last) {
  if (goingAway() || failed_ || nextStream_ > 0x7fffffff) return 0;
  uint32_t id = nextStream_;
  nextStream_ += 2;
  Stream& stream = streams_[id];
  stream.sent = last;
  stream.sendWindow = initialSendWindow_;
  stream.receiveWindow = options_.window;
  std::string prefix;
  put32(prefix, id);
  put32(prefix, 0);        // associated to none
  prefix.append(2, '\0');  // priority and slot
  headerFrame(kSynStream, last ? kFin : 0, prefix, headers);
  return id;
}

void SpdySession::reply(uint32_t id, const Headers& headers, bool last) {
  Stream* stream = find(id);
  if (stream == nullptr || stream->replied || ours(id)) return;
  stream->replied = true;
  if (last) stream->sent = true;
  std::string prefix;
  put32(prefix, id);
  headerFrame(kSynReply, last ? kFin : 0, prefix, headers);
  closeIfDone(id);
}

void SpdySession::headers(uint32_t id, const Headers& headers, bool last) {
  Stream* stream = find(id);
  if (stream == nullptr || stream->sent) return;
  if (last) stream->sent = true;
  std::string prefix;
  put32(prefix, id);
  headerFrame(kHeaders, last ? kFin : 0, prefix, headers);
  closeIfDone(id);
}

void SpdySession::data(uint32_t id, std::string_view bytes, bool last) {
  Stream* stream = find(id);
  if (stream == nullptr || stream->sent || stream->lastWaits) return;
  if (!stream->waiting.empty()) {
    stream->waiting.append(bytes);
    stream->lastWaits = last;
    return;
  }
  sendData(id, *stream, bytes, last);
  closeIfDone(id);
}

void SpdySession::sendData(uint32_t id, Stream& stream, std::string_view bytes, bool last) {
  bool first = true;
  while (!bytes.empty() || (last && first)) {
    first = false;
    size_t take = std::min(bytes.size(), kMaxDataFrame);
    if (options_.flowControl) {
      take = static_cast<size_t>(std::clamp<int64_t>(stream.sendWindow, 0, static_cast<int64_t>(take)));
      if (take == 0 && !bytes.empty()) {
        stream.waiting.assign(bytes);
        stream.lastWaits = last;
        return;
      }
      stream.sendWindow -= static_cast<int64_t>(take);
    }
    bool fin = last && take == bytes.size();
    std::string out;
    out.reserve(8 + take);
    put32(out, id);
    put32(out, (fin ? uint32_t{kFin} << 24 : 0) | static_cast<uint32_t>(take));
    out.append(bytes.substr(0, take));
    bytes.remove_prefix(take);
    output_(out);
  }
  if (last) stream.sent = true;
}

size_t SpdySession::waiting(uint32_t id) const {
  auto it = streams_.find(id);
  return it == streams_.end() ? 0 : it->second.waiting.size();
}

void SpdySession::consumed(uint32_t id, size_t bytes) {
  Stream* stream = find(id);
  if (!options_.flowControl || stream == nullptr || stream->received) return;
  stream->toReturn += bytes;
  if (stream->toReturn < options_.window / 2) return;
  std::string payload;
  put32(payload, id);
  put32(payload, static_cast<uint32_t>(stream->toReturn));
  stream->receiveWindow += static_cast<int64_t>(stream->toReturn);
  stream->toReturn = 0;
  control(kWindowUpdate, 0, payload);
}

void SpdySession::reset(uint32_t id, uint32_t status) {
  if (streams_.erase(id) > 0 && !ours(id)) --peerStreams_;
  std::string payload;
  put32(payload, id);
  put32(payload, status);
  control(kRstStream, 0, payload);
}

uint32_t SpdySession::ping() {
  uint32_t id = nextPing_;
  nextPing_ += 2;
  std::string payload;
  put32(payload, id);
  control(kPing, 0, payload);
  return id;
}

void SpdySession::goAway(uint32_t status) {
  if (goAwaySent_) return;
  goAwaySent_ = true;
  std::string payload;
  put32(payload, lastPeerStream_);
  put32(payload, status);
  control(kGoAway, 0, payload);
}

void SpdySession::closeIfDone(uint32_t id) {
  auto it = streams_.find(id);
  if (it == streams_.end() || !it->second.sent || !it->second.received) return;
  // A stream of the peer that was not replied to yet is still to be answered.
  if (!ours(id)) {
    if (!it->second.replied) return;
    --peerStreams_;
  }
  streams_.erase(it);
}

}  // namespace km::http
