// Objects from JSON and protobuf of anybody: what was read is written and read back as the same.
#include <array>
#include <cstdlib>
#include <string>
#include <string_view>

#include "api/object.h"
#include "api/types/apiextensions_v1.h"
#include "api/types/apps_v1.h"
#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"
#include "codec/json.h"
#include "codec/ops.h"
#include "codec/proto.h"

namespace codec = km::codec;

namespace {

using Encode = void (*)(std::string&, const void*, const codec::TypeInfo&);
using Decode = km::Status (*)(std::string_view, void*, const codec::TypeInfo&);

void toJson(std::string& out, const void* o, const codec::TypeInfo& t) { codec::encodeJson(out, o, t); }
km::Status fromJson(std::string_view text, void* o, const codec::TypeInfo& t) {
  codec::StrictErrors strict;
  return codec::decodeJson(text, o, t, &strict);
}

// The second writing equals the first: of the first reading that need not hold, as unknown fields are left out.
void roundTrip(const km::api::Object& o, Encode encode, Decode decode) {
  std::string once, twice;
  encode(once, o.data(), o.type());
  auto copy = km::api::Object::make(o.type());
  if (!decode(once, copy->data(), o.type()).ok()) std::abort();
  encode(twice, copy->data(), o.type());
  if (once != twice) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  static const std::array<const codec::TypeInfo*, 5> kTypes = {
      &km::api::core_v1::Pod::kType, &km::api::apps_v1::Deployment::kType, &km::api::core_v1::Service::kType,
      &km::api::apiextensions_v1::CustomResourceDefinition::kType, &km::api::core_v1::Event::kType};
  const codec::TypeInfo& type = *kTypes[data[0] % kTypes.size()];
  std::string_view bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  auto o = km::api::Object::make(type);
  bool json = (data[0] & 128) != 0;
  km::Status read = json ? fromJson(bytes, o->data(), type) : codec::decodeProto(bytes, o->data(), type);
  if (!read.ok()) return 0;
  roundTrip(*o, codec::encodeProto, codec::decodeProto);
  if (json) roundTrip(*o, toJson, fromJson);
  return 0;
}
