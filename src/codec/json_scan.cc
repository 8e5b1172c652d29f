#include "codec/json_scan.h"

#include <cctype>

namespace km::codec {
namespace {

int hexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// The four hex digits at p, or -1.
int hex4(const char* p, const char* end) {
  if (end - p < 4) return -1;
  int v = 0;
  for (int i = 0; i < 4; i++) {
    int d = hexDigit(p[i]);
    if (d < 0) return -1;
    v = v * 16 + d;
  }
  return v;
}

void appendUtf8(std::string& out, uint32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xC0 | (c >> 6));
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xE0 | (c >> 12));
    out += static_cast<char>(0x80 | ((c >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | (c >> 18));
    out += static_cast<char>(0x80 | ((c >> 12) & 0x3F));
    out += static_cast<char>(0x80 | ((c >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  }
}

size_t validUtf8(const char* s, const char* end) {
  auto u = [&](int i) { return static_cast<unsigned char>(s[i]); };
  auto rest = [&](int i) { return s + i < end && (u(i) & 0xC0) == 0x80; };
  unsigned char c = u(0);
  if (c >= 0xC2 && c <= 0xDF) return rest(1) ? 2 : 0;
  if (c >= 0xE0 && c <= 0xEF) {
    if (!rest(1) || !rest(2)) return 0;
    return (c == 0xE0 && u(1) < 0xA0) || (c == 0xED && u(1) > 0x9F) ? 0 : 3;
  }
  if (c >= 0xF0 && c <= 0xF4) {
    if (!rest(1) || !rest(2) || !rest(3)) return 0;
    return (c == 0xF0 && u(1) < 0x90) || (c == 0xF4 && u(1) > 0x8F) ? 0 : 4;
  }
  return 0;
}

// Resolves the escape whose backslash stands before p; moves p behind it.
bool unescape(const char*& p, const char* end, std::string& out) {
  if (p == end) return false;
  switch (char c = *p++) {
    case '"':
    case '\\':
    case '/': out += c; return true;
    case 'b': out += '\b'; return true;
    case 'f': out += '\f'; return true;
    case 'n': out += '\n'; return true;
    case 'r': out += '\r'; return true;
    case 't': out += '\t'; return true;
    case 'u': break;
    default: return false;
  }
  int v = hex4(p, end);
  if (v < 0) return false;
  p += 4;
  if (v >= 0xD800 && v < 0xE000) {
    // A pair of surrogates is one character; a lone one becomes U+FFFD.
    if (v < 0xDC00 && end - p >= 6 && p[0] == '\\' && p[1] == 'u') {
      int low = hex4(p + 2, end);
      if (low >= 0xDC00 && low < 0xE000) {
        p += 6;
        appendUtf8(out, 0x10000 + ((static_cast<uint32_t>(v) - 0xD800) << 10) + (static_cast<uint32_t>(low) - 0xDC00));
        return true;
      }
    }
    v = 0xFFFD;
  }
  appendUtf8(out, static_cast<uint32_t>(v));
  return true;
}

}  // namespace

bool JsonScan::takeWord(std::string_view word) {
  peek();
  if (static_cast<size_t>(end_ - p_) < word.size() || std::string_view(p_, word.size()) != word) return false;
  p_ += word.size();
  return true;
}

bool JsonScan::readString(std::string_view& s, std::string& buffer) {
  if (!take('"')) return false;
  const char* begin = p_;
  while (p_ < end_ && *p_ != '"' && *p_ != '\\' && static_cast<unsigned char>(*p_) >= 0x20 &&
         static_cast<unsigned char>(*p_) < 0x80) {
    p_++;
  }
  if (p_ < end_ && *p_ == '"') {
    s = {begin, static_cast<size_t>(p_ - begin)};
    p_++;
    return true;
  }
  buffer.assign(begin, p_);
  while (p_ < end_) {
    auto c = static_cast<unsigned char>(*p_);
    if (c == '"') {
      p_++;
      s = buffer;
      return true;
    }
    if (c < 0x20) return false;
    if (c == '\\') {
      p_++;
      if (!unescape(p_, end_, buffer)) return false;
    } else if (c < 0x80) {
      buffer += *p_++;
    } else if (size_t n = validUtf8(p_, end_); n != 0) {
      buffer.append(p_, n);
      p_ += n;
    } else {
      buffer += "\xEF\xBF\xBD";
      p_++;
    }
  }
  return false;
}

bool JsonScan::readNumber(std::string_view& s) {
  peek();
  const char* begin = p_;
  auto digits = [&] {
    const char* from = p_;
    while (p_ < end_ && *p_ >= '0' && *p_ <= '9') p_++;
    return p_ != from;
  };
  if (p_ < end_ && *p_ == '-') p_++;
  if (p_ < end_ && *p_ == '0') {
    p_++;
  } else if (!digits()) {
    return false;
  }
  if (p_ < end_ && *p_ == '.') {
    p_++;
    if (!digits()) return false;
  }
  if (p_ < end_ && (*p_ == 'e' || *p_ == 'E')) {
    p_++;
    if (p_ < end_ && (*p_ == '+' || *p_ == '-')) p_++;
    if (!digits()) return false;
  }
  s = {begin, static_cast<size_t>(p_ - begin)};
  return true;
}

bool JsonScan::skipValue(std::string_view& s) {
  peek();
  const char* begin = p_;
  std::string buffer;
  std::string closers;  // the brackets that are open
  std::string_view ignored;
  do {
    char c = peek();
    bool wantsValue = true;
    if (c == '{' || c == '[') {
      p_++;
      closers += c == '{' ? '}' : ']';
      if (closers.size() > kMaxJsonDepth) return false;
      if (!take(closers.back())) {
        if (c == '{' && (!readString(ignored, buffer) || !take(':'))) return false;
        continue;
      }
      closers.pop_back();
      wantsValue = false;
    }
    if (wantsValue) {
      bool ok = c == '"'   ? readString(ignored, buffer)
                : c == 't' ? takeWord("true")
                : c == 'f' ? takeWord("false")
                : c == 'n' ? takeWord("null")
                           : readNumber(ignored);
      if (!ok) return false;
    }
    // Behind a value: close what ends here, or go on to the next one.
    while (!closers.empty()) {
      if (take(closers.back())) {
        closers.pop_back();
        continue;
      }
      if (!take(',')) return false;
      if (closers.back() == '}' && (!readString(ignored, buffer) || !take(':'))) return false;
      break;
    }
  } while (!closers.empty());
  s = {begin, static_cast<size_t>(p_ - begin)};
  return true;
}

}  // namespace km::codec
