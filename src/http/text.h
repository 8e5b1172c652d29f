// Small texts of HTTP: dates, reasons, lists, escapes.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace km::http {

inline char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}
bool equalsIgnoringCase(std::string_view a, std::string_view b);
std::string_view trim(std::string_view text);  // spaces and tabs
// The items of a comma-separated list, trimmed, empty ones left out.
std::vector<std::string_view> splitList(std::string_view text);
bool isToken(std::string_view text);  // RFC 9110 token, not empty

// The Date of now, "Sun, 06 Nov 1994 08:49:37 GMT"; made once a second and thread. Good until the next call.
std::string_view httpDate();
std::string_view reasonPhrase(int status);

// Decodes %XX; nothing on a broken escape. '+' stays unless plusIsSpace.
std::optional<std::string> percentDecode(std::string_view text, bool plusIsSpace = false);
std::string base64(std::string_view bytes);
std::string sha1(std::string_view bytes);  // 20 raw bytes

}  // namespace km::http
