#include "apiserver/continue_token.h"

#include <fmt/format.h>

#include <charconv>

#include "api/field_error.h"
#include "base/base64.h"
#include "codec/json.h"
#include "codec/json_scan.h"

namespace km::apiserver {

std::string encodeContinue(int64_t revision, std::string_view start) {
  std::string json = fmt::format("{{\"v\":\"meta.k8s.io/v1\",\"rv\":{},\"start\":", revision);
  codec::appendJsonString(json, start);
  json += '}';
  return base64UrlEncode(json);
}

Result<ContinueToken> decodeContinue(std::string_view token) {
  auto json = base64UrlDecode(token);
  if (!json) {
    return errors::badRequest("continue key is not valid: illegal base64 data at input byte 0");
  }
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
  if (!ok) {
    Status syntax = codec::checkJsonSyntax(*json);
    return errors::badRequest(fmt::format("continue key is not valid: {}", syntax.ok() ? "malformed" : syntax.message()));
  }
  if (version != "meta.k8s.io/v1") {
    return errors::badRequest(fmt::format("continue key is not valid: server does not recognize this encoded version {}", api::goQuote(version)));
  }
  if (out.revision == 0) return errors::badRequest("continue key is not valid: incorrect encoded start resourceVersion (version meta.k8s.io/v1)");
  if (out.start.empty()) return errors::badRequest("continue key is not valid: encoded start key empty (version meta.k8s.io/v1)");
  return out;
}

}  // namespace km::apiserver
