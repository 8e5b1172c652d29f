#include "base/base64.h"

#include <array>
#include <cstdint>

namespace km {
namespace {

constexpr char kStandard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr char kUrl[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

std::string encode(std::string_view bytes, const char* alphabet, bool padded) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  auto at = [&](size_t i) { return i < bytes.size() ? static_cast<uint8_t>(bytes[i]) : 0u; };
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t v = at(i) << 16 | at(i + 1) << 8 | at(i + 2);
    size_t have = bytes.size() - i;
    out += alphabet[v >> 18];
    out += alphabet[v >> 12 & 63];
    if (have > 1) out += alphabet[v >> 6 & 63];
    if (have > 2) out += alphabet[v & 63];
    if (padded && have < 3) out.append(3 - have, '=');
  }
  return out;
}

constexpr std::array<int8_t, 256> reverse(const char* alphabet) {
  std::array<int8_t, 256> table{};
  for (auto& v : table) v = -1;
  for (int i = 0; i < 64; i++) table[static_cast<uint8_t>(alphabet[i])] = static_cast<int8_t>(i);
  return table;
}

std::optional<std::string> decode(std::string_view text, const std::array<int8_t, 256>& table, bool padded, bool strict = true) {
  std::string out;
  out.reserve(text.size() / 4 * 3 + 2);
  uint32_t bits = 0;
  int have = 0, padding = 0;
  size_t count = 0;
  for (char c : text) {
    if (c == '\r' || c == '\n') continue;
    count++;
    if (c == '=' && padded) {
      padding++;
      continue;
    }
    int8_t v = table[static_cast<uint8_t>(c)];
    if (v < 0 || padding > 0) return std::nullopt;
    bits = bits << 6 | static_cast<uint32_t>(v);
    have += 6;
    if (have >= 8) {
      have -= 8;
      out += static_cast<char>(bits >> have & 0xff);
    }
  }
  if (have >= 6 || (strict && (bits & ((1u << have) - 1)) != 0)) return std::nullopt;
  if (padded && (count % 4 != 0 || padding > 2)) return std::nullopt;
  return out;
}

}  // namespace

std::string base64Encode(std::string_view bytes) {
  return encode(bytes, kStandard, true);
}
std::string base64UrlEncode(std::string_view bytes) {
  return encode(bytes, kUrl, false);
}

std::optional<std::string> base64Decode(std::string_view text) {
  static constexpr auto kTable = reverse(kStandard);
  return decode(text, kTable, true);
}

std::optional<std::string> base64UrlDecode(std::string_view text, bool strict) {
  static constexpr auto kTable = reverse(kUrl);
  return decode(text, kTable, false, strict);
}

}  // namespace km
