#include "http/h1_parser.h"

#include <algorithm>

#include "http/text.h"

namespace km::http {

namespace {
constexpr size_t kMaxChunkLine = 4096;  // size and extensions

bool validValue(std::string_view value) {
  for (unsigned char c : value) {
    if ((c < 0x20 && c != '\t') || c == 0x7f) return false;
  }
  return true;
}

bool validTarget(std::string_view target) {
  if (target.empty()) return false;
  for (unsigned char c : target) {
    if (c <= 0x20 || c == 0x7f) return false;
  }
  return true;
}
}  // namespace

H1Parser::Event H1Parser::fail(int code, std::string_view why) {
  state_ = State::kError;
  error_ = Status(code, code == 431 ? "RequestHeaderFieldsTooLarge" : "BadRequest", why);
  return Event::kError;
}

H1Parser::Event H1Parser::next(std::string_view& in) {
  switch (state_) {
    case State::kError:
      return Event::kError;
    case State::kDone:
      state_ = State::kHead;
      [[fallthrough]];
    case State::kHead:
      break;
    case State::kTrailers:
      return readTrailers(in);
    default:
      return readBody(in);
  }
  if (buffered_.empty()) {
    // Empty lines before a request are allowed; clients once sent them after a body.
    while (kind_ == Kind::kRequest && in.substr(0, 2) == "\r\n") in.remove_prefix(2);
    size_t end = in.find("\r\n\r\n");
    if (end != std::string_view::npos && end <= limits_.headBytes) {
      std::string_view head = in.substr(0, end + 2);
      in.remove_prefix(end + 4);
      return parseHead(head);
    }
  }
  if (in.empty()) return Event::kNeedMore;
  size_t from = buffered_.size() < 3 ? 0 : buffered_.size() - 3;
  buffered_.append(in);
  while (kind_ == Kind::kRequest && buffered_.compare(0, 2, "\r\n") == 0) {
    buffered_.erase(0, 2);
    from = 0;
  }
  size_t end = buffered_.find("\r\n\r\n", from);
  if (end == std::string::npos) {
    in = {};
    // Looked at early: such a head would never end.
    for (size_t i = buffered_.find('\n', from); i != std::string::npos; i = buffered_.find('\n', i + 1)) {
      if (i == 0 || buffered_[i - 1] != '\r') return fail(400, "a line ends without CR");
    }
    if (buffered_.size() > limits_.headBytes) return fail(431, "request header is too large");
    return Event::kNeedMore;
  }
  if (end > limits_.headBytes) return fail(431, "request header is too large");
  in.remove_prefix(in.size() - (buffered_.size() - (end + 4)));
  std::string head = std::move(buffered_);
  buffered_.clear();
  return parseHead(std::string_view(head).substr(0, end + 2));
}

H1Parser::Event H1Parser::parseHead(std::string_view head) {
  headers.clear();
  trailers_.clear();
  method.clear();
  target.clear();
  bool first = true;
  while (!head.empty()) {
    size_t end = head.find("\r\n");
    std::string_view line = head.substr(0, end);
    head.remove_prefix(end + 2);
    if (first) {
      first = false;
      headers.reserve(16, head.size());
      if (!parseStartLine(line)) return Event::kError;
    } else if (!parseField(line, headers)) {
      return Event::kError;
    }
  }
  if (first) return fail(400, "empty request");
  if (!interpret()) return Event::kError;
  return Event::kHead;
}

bool H1Parser::parseStartLine(std::string_view line) {
  std::string_view version;
  if (kind_ == Kind::kRequest) {
    size_t a = line.find(' '), b = line.rfind(' ');
    if (a == std::string_view::npos || a == b) return fail(400, "malformed HTTP request"), false;
    if (!isToken(line.substr(0, a))) return fail(400, "invalid method"), false;
    std::string_view where = line.substr(a + 1, b - a - 1);
    if (!validTarget(where)) return fail(400, "malformed request target"), false;
    method.assign(line.substr(0, a));
    target.assign(where);
    version = line.substr(b + 1);
  } else {
    if (line.size() < 12 || line[8] != ' ') return fail(400, "malformed HTTP response"), false;
    version = line.substr(0, 8);
    status = 0;
    for (int i = 9; i < 12; ++i) {
      if (line[i] < '0' || line[i] > '9') return fail(400, "malformed HTTP status code"), false;
      status = status * 10 + (line[i] - '0');
    }
    if (status < 100 || (line.size() > 12 && line[12] != ' '))
      return fail(400, "malformed HTTP status code"), false;
  }
  if (version.size() != 8 || version.substr(0, 7) != "HTTP/1.") {
    return fail(version.substr(0, 5) == "HTTP/" ? 505 : 400, "unsupported HTTP version"), false;
  }
  if (version[7] != '0' && version[7] != '1') return fail(505, "unsupported HTTP version"), false;
  minor = version[7] - '0';
  return true;
}

bool H1Parser::parseField(std::string_view line, Headers& into) {
  size_t colon = line.find(':');
  // A name that is no token covers white space before the colon and folded lines.
  if (colon == std::string_view::npos || !isToken(line.substr(0, colon))) {
    return fail(400, "malformed header line"), false;
  }
  std::string_view value = trim(line.substr(colon + 1));
  if (!validValue(value)) return fail(400, "invalid header value"), false;
  if (into.size() >= limits_.headerCount) return fail(431, "too many header fields"), false;
  into.add(line.substr(0, colon), value);
  return true;
}

bool H1Parser::interpretLength() {
  hasLength = chunked = false;
  length = 0;
  bool encoded = false;
  for (Headers::Field f : headers) {
    if (f.name == "transfer-encoding") {
      if (encoded || minor == 0 || !equalsIgnoringCase(f.value, "chunked")) {
        return fail(501, "unsupported transfer encoding"), false;
      }
      encoded = chunked = true;
    } else if (f.name == "content-length") {
      if (f.value.empty() || f.value.size() > 18) return fail(400, "bad Content-Length"), false;
      uint64_t n = 0;
      for (char c : f.value) {
        if (c < '0' || c > '9') return fail(400, "bad Content-Length"), false;
        n = n * 10 + static_cast<uint64_t>(c - '0');
      }
      if (hasLength && n != length) return fail(400, "two different Content-Length fields"), false;
      hasLength = true;
      length = n;
    }
  }
  // Both at once is the classic of request smuggling.
  if (chunked && hasLength) return fail(400, "both Transfer-Encoding and Content-Length"), false;
  return true;
}

bool H1Parser::interpret() {
  if (!interpretLength()) return false;
  keepAlive =
      minor == 1 ? !headers.hasToken("connection", "close") : headers.hasToken("connection", "keep-alive");
  upgrade = minor == 1 && headers.hasToken("connection", "upgrade");
  expectContinue = false;
  untilClose_ = false;
  if (kind_ == Kind::kRequest) {
    size_t hosts = 0;
    for (Headers::Field f : headers) hosts += f.name == "host" ? 1 : 0;
    if (hosts > 1 || (hosts == 0 && minor == 1)) return fail(400, "missing or repeated Host header"), false;
    if (headers.has("expect")) {
      if (!equalsIgnoringCase(headers.get("expect"), "100-continue"))
        return fail(417, "unknown expectation"), false;
      expectContinue = minor == 1;
    }
  } else {
    bool none = noBody_ || status / 100 == 1 || status == 204 || status == 304;
    if (status / 100 != 1) noBody_ = false;
    if (none) {
      chunked = false;
      state_ = State::kFixed;
      left_ = 0;
      // What it would have been; nothing follows.
      return true;
    }
    untilClose_ = !chunked && !hasLength;
    if (untilClose_) keepAlive = false;
  }
  left_ = length;
  state_ = chunked ? State::kChunkSize : untilClose_ ? State::kUntilClose : State::kFixed;
  return true;
}

H1Parser::Event H1Parser::readBody(std::string_view& in) {
  while (true) {
    switch (state_) {
      case State::kFixed:
      case State::kChunkData: {
        if (left_ == 0) {
          if (state_ == State::kChunkData) {
            state_ = State::kChunkEnd;
            continue;
          }
          state_ = State::kDone;
          return Event::kEnd;
        }
        if (in.empty()) return Event::kNeedMore;
        size_t take = static_cast<size_t>(std::min<uint64_t>(left_, in.size()));
        body_ = in.substr(0, take);
        in.remove_prefix(take);
        left_ -= take;
        return Event::kBody;
      }
      case State::kUntilClose:
        if (in.empty()) return Event::kNeedMore;
        body_ = in;
        in = {};
        return Event::kBody;
      case State::kChunkEnd: {
        std::string_view line;
        if (!takeLine(in, line)) return state_ == State::kError ? Event::kError : Event::kNeedMore;
        if (!line.empty()) return fail(400, "malformed chunked encoding");
        state_ = State::kChunkSize;
        continue;
      }
      case State::kChunkSize: {
        Event e = readChunkSize(in);
        if (e != Event::kHead) return e;
        continue;
      }
      case State::kTrailers:
        return readTrailers(in);
      default:
        return Event::kError;
    }
  }
}

// kHead stands for "go on".
H1Parser::Event H1Parser::readChunkSize(std::string_view& in) {
  std::string_view line;
  if (!takeLine(in, line)) return state_ == State::kError ? Event::kError : Event::kNeedMore;
  uint64_t size = 0;
  size_t digits = 0;
  for (; digits < line.size(); ++digits) {
    char c = lower(line[digits]);
    if (c >= '0' && c <= '9') {
      size = size * 16 + static_cast<uint64_t>(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      size = size * 16 + static_cast<uint64_t>(c - 'a' + 10);
    } else {
      break;
    }
    if (digits >= 15) return fail(400, "chunk size is too large");
  }
  std::string_view rest = trim(line.substr(digits));
  if (digits == 0 || (!rest.empty() && rest[0] != ';') || !validValue(rest))
    return fail(400, "malformed chunk size");
  left_ = size;
  trailerBytes_ = 0;
  state_ = size == 0 ? State::kTrailers : State::kChunkData;
  return Event::kHead;
}

H1Parser::Event H1Parser::readTrailers(std::string_view& in) {
  std::string_view line;
  while (takeLine(in, line)) {
    if (line.empty()) {
      state_ = State::kDone;
      return Event::kEnd;
    }
    trailerBytes_ += line.size();
    if (trailerBytes_ > limits_.headBytes) return fail(431, "trailers are too large");
    if (!parseField(line, trailers_)) return Event::kError;
  }
  return state_ == State::kError ? Event::kError : Event::kNeedMore;
}

bool H1Parser::takeLine(std::string_view& in, std::string_view& line) {
  size_t newline = in.find('\n');
  size_t size = newline == std::string_view::npos ? in.size() : newline + 1;
  if (buffered_.size() + size > (state_ == State::kTrailers ? limits_.headBytes : kMaxChunkLine)) {
    fail(400, "line is too long");
    return false;
  }
  std::string_view part = in.substr(0, size);
  in.remove_prefix(size);
  if (newline == std::string_view::npos) {
    buffered_.append(part);
    return false;
  }
  if (!buffered_.empty()) {
    line_ = std::move(buffered_);
    line_.append(part);
    buffered_.clear();
    part = line_;
  }
  if (part.size() < 2 || part[part.size() - 2] != '\r') {
    fail(400, "a line ends without CR");
    return false;
  }
  line = part.substr(0, part.size() - 2);
  return true;
}

H1Parser::Event H1Parser::finish() {
  if (state_ == State::kUntilClose) {
    state_ = State::kDone;
    return Event::kEnd;
  }
  if (state_ == State::kDone || betweenMessages()) return Event::kNeedMore;
  return fail(400, "unexpected EOF");
}

}  // namespace km::http
