// Field tables: what the codecs and every generic operation know of a type. The generator (tools/apigen)
// writes one TypeInfo per API type beside its plain struct.
//
// The memory rules of such a struct, on which all of src/codec stands:
//   - all-zero memory is its empty value;
//   - an object is moved by copying its bytes and forgetting the source;
//   - a field stands at a fixed offset and has the C++ type that Kind and Shape name below.
#pragma once

#include <cstdint>
#include <string_view>

namespace km::codec {

struct TypeInfo;

// What one value is. The C++ type of each: bool, int32_t, int64_t, uint32_t, uint64_t, double, String (text),
// String (raw bytes; base64 in JSON), and the types of scalars.h; kMessage is a struct with a TypeInfo.
enum class Kind : uint8_t {
  kBool,
  kInt32,
  kInt64,
  kUint32,
  kUint64,
  kDouble,
  kString,
  kBytes,
  kQuantity,
  kTime,
  kMicroTime,
  kDuration,
  kIntOrString,
  kRawJson,
  kMessage,
};

// How the value stands in its field: T; std::optional<T> (Box<T> for a message); List<T>; Map<T>.
enum class Shape : uint8_t { kPlain, kOpt, kList, kMap };

enum FieldFlag : uint8_t {
  kOmitEmpty = 1,    // JSON leaves out false, 0, "", nothing
  kOmitZero = 2,     // JSON leaves out a struct whose every field is empty
  kRequired = 4,     // declared required (OpenAPI)
  kTypeMeta = 8,     // JSON of the nested object carries its kind and apiVersion
};

enum class ListKind : uint8_t { kUnset, kAtomic, kSet, kMap };

// Rarer facts of a field; most fields have none.
struct FieldMarks {
  const char* goType = nullptr;         // upstream's name of the type, as decoding errors print it
  ListKind listKind = ListKind::kUnset; // of a list: server-side apply; of a map or struct: kAtomic if atomic
  const char* listKeys = nullptr;       // keys of ListKind::kMap, separated by commas
  const char* patchKey = nullptr;       // strategic merge: merge key
  bool patchMerge = false;              // strategic merge: lists merge
  bool patchRetainKeys = false;
  const char* defaultJson = nullptr;    // constant default, as JSON text
  const char* featureGate = nullptr;
  uint8_t unionIndex = 0;               // reserved for union discriminators
};

struct Field {
  std::string_view name;   // JSON key
  const TypeInfo* type;    // of kMessage
  const FieldMarks* marks; // or null
  uint16_t offset;
  uint16_t tag;            // protobuf field number; 0: not in protobuf
  Kind kind;
  Shape shape;
  uint8_t flags;           // FieldFlag
};

// How a message looks in JSON; protobuf is always a message.
enum class Form : uint8_t {
  kObject,
  kTransparent,    // as the value of its only field (ExtraValue, Verbs)
  kOrArray,        // JSONSchemaPropsOrArray: a schema or a list of schemas
  kOrBool,         // JSONSchemaPropsOrBool: a schema or a bool
  kOrStringArray,  // JSONSchemaPropsOrStringArray: a schema or a list of strings
};

enum TypeFlag : uint8_t {
  kHasTypeMeta = 1,   // a top-level object: JSON has kind and apiVersion
  kProto3 = 2,        // gRPC contracts: zero scalars are left out, repeated scalars packed
  kAtomicStruct = 4,  // server-side apply owns it as a whole
};

struct TypeInfo {
  std::string_view name;        // "Deployment": also the kind
  std::string_view apiVersion;  // "apps/v1"; "" for gRPC contracts
  const Field* fields;          // in JSON order, embedded structs flattened in
  const Field* wire;            // in protobuf order, embedded structs as messages
  uint16_t fieldCount;
  uint16_t wireCount;
  uint32_t size;                // sizeof the struct
  Form form;
  uint8_t flags;                // TypeFlag

  const Field* begin() const { return fields; }
  const Field* end() const { return fields + fieldCount; }
  // The field of this JSON key, or null.
  const Field* find(std::string_view json) const;
};

inline void* at(void* object, const Field& f) { return static_cast<char*>(object) + f.offset; }
inline const void* at(const void* object, const Field& f) { return static_cast<const char*>(object) + f.offset; }

}  // namespace km::codec
