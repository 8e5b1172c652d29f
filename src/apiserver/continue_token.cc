#include "apiserver/continue_token.h"

#include <fmt/format.h>

#include <cctype>
#include <charconv>

#include "base/base64.h"
#include "codec/json.h"
#include "codec/json_scan.h"

namespace km::apiserver {
namespace {

Status invalid(const std::string& why) { return errors::badRequest("invalid continue token: " + why); }

// Where the raw URL form of base64 ends to be one.
size_t badBase64At(std::string_view token) {
  for (size_t i = 0; i < token.size(); i++) {
    auto c = static_cast<unsigned char>(token[i]);
    if (!std::isalnum(c) && c != '-' && c != '_') return i;
  }
  // One character alone makes no byte.
  return token.size() & ~size_t{3};
}

}  // namespace

std::string encodeContinue(int64_t revision, std::string_view start) {
  std::string json = fmt::format("{{\"v\":\"meta.k8s.io/v1\",\"rv\":{},\"start\":", revision);
  codec::appendJsonString(json, start);
  json += '}';
  return base64UrlEncode(json);
}

Result<ContinueToken> decodeContinue(std::string_view token) {
  auto json = base64UrlDecode(token, false);
  if (!json) {
    return invalid(fmt::format("continue key is not valid: illegal base64 data at input byte {}", badBase64At(token)));
  }
  if (Status syntax = codec::checkJsonSyntax(*json); !syntax.ok()) return invalid("continue key is not valid: " + syntax.message());
  codec::JsonScan scan(*json);
  ContinueToken out;
  std::string version, buffer, keyBuffer;
  std::string_view s, key;
  bool ok = scan.take('{');
  while (ok && !scan.take('}')) {
    scan.take(',');
    ok = scan.readString(key, keyBuffer) && scan.take(':');
    if (!ok) break;
    if (key == "rv") {
      ok = scan.readNumber(s);
      std::from_chars(s.data(), s.data() + s.size(), out.revision);
    } else {
      ok = scan.readString(s, buffer);
      if (key == "v") version = s;
      if (key == "start") out.start = s;
    }
  }
  if (!ok) return invalid("continue key is not valid: json: cannot unmarshal value into Go struct field of continue token");
  if (version != "meta.k8s.io/v1") {
    return invalid(fmt::format("continue key is not valid: server does not recognize this encoded version {}", version));
  }
  if (out.revision == 0) return invalid("continue key is not valid: incorrect encoded start resourceVersion (version meta.k8s.io/v1)");
  if (out.start.empty()) return invalid("continue key is not valid: encoded start key empty (version meta.k8s.io/v1)");
  // A key cannot lead out of what is listed.
  std::string_view start = out.start;
  if (start.front() == '/' || start.starts_with("../") || start.find("/../") != std::string_view::npos) {
    return invalid(fmt::format("continue key is not valid: {}", start));
  }
  return out;
}

}  // namespace km::apiserver
