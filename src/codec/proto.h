// Protobuf through field tables, in the bytes that upstream's generated code writes.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "codec/type.h"

namespace km::codec {

// Appends the message. For Kubernetes types every scalar, string or message held by value is written, zero or
// not; for gRPC contracts (kProto3) zeros are left out and repeated numbers are packed.
void encodeProto(std::string& out, const void* object, const TypeInfo& t);
template <typename T>
std::string toProto(const T& object) {
  std::string out;
  encodeProto(out, &object, T::kType);
  return out;
}

// Reads the message into the empty object. Unknown fields are skipped; malformed bytes are an error.
Status decodeProto(std::string_view bytes, void* object, const TypeInfo& t);
template <typename T>
Result<T> fromProto(std::string_view bytes) {
  T object;
  if (Status s = decodeProto(bytes, &object, T::kType); !s.ok()) return s;
  return object;
}

// The envelope of stored values and of application/vnd.kubernetes.protobuf: "k8s\0", then runtime.Unknown.
inline constexpr std::string_view kProtoMagic{"k8s\0", 4};
struct Envelope {
  std::string_view apiVersion;
  std::string_view kind;
  std::string_view raw;  // the message; JSON if contentType says so
  std::string_view contentType;
};
void appendEnvelope(std::string& out, std::string_view apiVersion, std::string_view kind, std::string_view raw);
// The object inside its envelope.
void encodeEnveloped(std::string& out, const void* object, const TypeInfo& t, std::string_view apiVersion);
// Views into `bytes`. Fails if the magic bytes are missing.
Result<Envelope> openEnvelope(std::string_view bytes);

}  // namespace km::codec
