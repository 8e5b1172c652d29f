#include "base/strings.h"

#include <charconv>
#include <cmath>
#include <cstdlib>

namespace km {
namespace {
char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}
char upper(char c) {
  return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
}

template <typename Part>
std::string joinParts(std::span<const Part> parts, std::string_view separator) {
  std::string out;
  for (size_t i = 0; i < parts.size(); i++) {
    if (i > 0) out += separator;
    out += parts[i];
  }
  return out;
}

// The length of the well-formed UTF-8 sequence at the start of `s`; 0 if there is none.
size_t utf8Length(std::string_view s, uint32_t& rune) {
  auto byte = [&](size_t i) { return static_cast<uint8_t>(s[i]); };
  uint8_t c = byte(0);
  size_t n = c < 0x80 ? 1 : (c >> 5) == 6 ? 2 : (c >> 4) == 14 ? 3 : (c >> 3) == 30 ? 4 : 0;
  if (n == 0 || s.size() < n) return 0;
  rune = n == 1 ? c : c & (0x7f >> n);
  for (size_t i = 1; i < n; i++) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
    rune = rune << 6 | (byte(i) & 0x3f);
  }
  static constexpr uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  if (rune < kLeast[n] || rune > 0x10ffff || (rune >= 0xd800 && rune < 0xe000)) return 0;
  return n;
}

// Go's unicode.IsPrint for what matters here: controls, spaces other than ' ', marks without a glyph are not.
bool isPrint(uint32_t rune) {
  if (rune < 0x20 || (rune >= 0x7f && rune <= 0xa0) || rune == 0xad) return false;
  if (rune >= 0x2000 && rune <= 0x200f) return false;
  if (rune >= 0x2028 && rune <= 0x202f) return false;
  if (rune >= 0x205f && rune <= 0x206f) return false;
  if (rune == 0x3000 || rune == 0xfeff || (rune >= 0xfff0 && rune <= 0xfffb)) return false;
  if (rune >= 0xe000 && rune <= 0xf8ff) return false;
  return (rune & 0xfffe) != 0xfffe;
}

template <typename T>
std::string formatShortest(T value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  char text[40];
  auto end = std::to_chars(text, text + sizeof text, value, std::chars_format::scientific).ptr;
  std::string_view shortest(text, end - text);
  size_t e = shortest.find('e');
  int exponent = std::atoi(std::string(shortest.substr(e + 1)).c_str());
  if (exponent < -4 || exponent >= 6) return std::string(shortest);
  end = std::to_chars(text, text + sizeof text, value, std::chars_format::fixed).ptr;
  return std::string(text, end - text);
}

void appendHex(std::string& out, uint32_t value, int digits) {
  for (int shift = (digits - 1) * 4; shift >= 0; shift -= 4) out += "0123456789abcdef"[value >> shift & 15];
}
}  // namespace

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    size_t at = text.find(separator);
    parts.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

std::optional<std::pair<std::string_view, std::string_view>> cut(std::string_view text, char separator) {
  size_t at = text.find(separator);
  if (at == std::string_view::npos) return std::nullopt;
  return std::pair(text.substr(0, at), text.substr(at + 1));
}

std::string_view trimSpace(std::string_view text) {
  constexpr std::string_view kSpace = " \t\n\v\f\r";
  size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

std::string join(std::span<const std::string> parts, std::string_view separator) {
  return joinParts(parts, separator);
}

std::string join(std::span<const std::string_view> parts, std::string_view separator) {
  return joinParts(parts, separator);
}

std::string replaceAll(std::string_view text, std::string_view from, std::string_view to) {
  if (from.empty()) return std::string(text);
  std::string out;
  for (;;) {
    size_t at = text.find(from);
    out += text.substr(0, at);
    if (at == std::string_view::npos) return out;
    out += to;
    text.remove_prefix(at + from.size());
  }
}

std::string toLower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = lower(c);
  return out;
}

std::string toUpper(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = upper(c);
  return out;
}

bool equalFold(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); i++) {
    if (lower(a[i]) != lower(b[i])) return false;
  }
  return true;
}

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

void appendQuoted(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty()) {
    uint32_t rune = 0;
    size_t n = utf8Length(text, rune);
    if (n == 0) {
      out += "\\x";
      appendHex(out, static_cast<uint8_t>(text[0]), 2);
      text.remove_prefix(1);
      continue;
    }
    static constexpr std::string_view kEscaped = "\"\\\a\b\f\n\r\t\v", kLetters = "\"\\abfnrtv";
    size_t at = n == 1 ? kEscaped.find(text[0]) : std::string_view::npos;
    if (at != std::string_view::npos) {
      out += '\\';
      out += kLetters[at];
    } else if (isPrint(rune)) {
      out += text.substr(0, n);
    } else if (rune < 0x80) {
      out += "\\x";
      appendHex(out, rune, 2);
    } else {
      out += rune < 0x10000 ? "\\u" : "\\U";
      appendHex(out, rune, rune < 0x10000 ? 4 : 8);
    }
    text.remove_prefix(n);
  }
  out += '"';
}

std::string quote(std::string_view text) {
  std::string out;
  appendQuoted(out, text);
  return out;
}

std::optional<int64_t> parseInt64(std::string_view text) {
  if (!text.empty() && text[0] == '+') {
    text.remove_prefix(1);
    if (!text.empty() && text[0] == '-') return std::nullopt;
  }
  int64_t value = 0;
  auto [end, err] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (err != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<uint64_t> parseUint64(std::string_view text) {
  uint64_t value = 0;
  auto [end, err] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (err != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string formatGoFloat(double value) {
  return formatShortest(value);
}
std::string formatGoFloat32(float value) {
  return formatShortest(value);
}

}  // namespace km
