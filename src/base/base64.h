// RFC 4648 encodings.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace km {

std::string base64Encode(std::string_view bytes);     // standard alphabet, padded
std::string base64UrlEncode(std::string_view bytes);  // URL alphabet, without padding (JWT)
// Strict: alphabet, padding and unused bits must be right, except that \r and \n are skipped as Go does.
std::optional<std::string> base64Decode(std::string_view text);
std::optional<std::string> base64UrlDecode(std::string_view text, bool strict = true);  // not strict: bits behind the last byte may be set

}  // namespace km
