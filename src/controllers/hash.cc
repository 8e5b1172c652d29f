#include "controllers/hash.h"

#include "base/fnv.h"
#include "codec/json.h"

namespace km::controllers {

std::string safeEncode(std::string_view text) {
  static constexpr std::string_view kLetters = "bcdfghjklmnpqrstvwxz2456789";
  std::string out;
  for (unsigned char c : text) out += kLetters[c % kLetters.size()];
  return out;
}

std::string nameHash(const void* object, const codec::TypeInfo& type, std::optional<int32_t> collisions) {
  std::string json;
  codec::encodeJson(json, object, type, "");
  uint32_t h = fnv1a32(json);
  if (collisions) {
    auto n = static_cast<uint32_t>(*collisions);
    char bytes[8] = {static_cast<char>(n), static_cast<char>(n >> 8), static_cast<char>(n >> 16), static_cast<char>(n >> 24)};
    h = fnv1a32({bytes, sizeof bytes}, h);
  }
  return safeEncode(std::to_string(h));
}

}  // namespace km::controllers
