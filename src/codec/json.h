// JSON in upstream's canonical form, through field tables, without a tree in between.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "codec/type.h"

namespace km::codec {

// --- writing ------------------------------------------------------------------------------------------

// Appends the compact form of the object. With `apiVersion` (of a type that has TypeMeta) the object starts
// with its kind and that apiVersion; an empty one leaves both out, as for the items of a typed list.
void encodeJson(std::string& out, const void* object, const TypeInfo& t, std::string_view apiVersion);
inline void encodeJson(std::string& out, const void* object, const TypeInfo& t) {
  encodeJson(out, object, t, t.apiVersion);
}
template <typename T>
std::string toJson(const T& object) {
  std::string out;
  encodeJson(out, &object, T::kType);
  return out;
}

// Appends `s` as a JSON string, escaped as Go's encoding/json does ("<" as \u003c, bad UTF-8 as U+FFFD).
void appendJsonString(std::string& out, std::string_view s);
// Appends a number as Go prints it.
void appendJsonDouble(std::string& out, double v);
// Appends valid JSON text without white space and with the escapes of appendJsonString.
void appendCompactJson(std::string& out, std::string_view json);
// The text indented by two spaces, as ?pretty=true answers: valid JSON in, no newline at the end.
std::string prettyJson(std::string_view json);

// --- reading ------------------------------------------------------------------------------------------

// What a strict decoder holds against a document; the document was read all the same.
struct StrictErrors {
  std::vector<std::string> errors;  // `unknown field "spec.foo"`, `duplicate field "spec.bar"`, as found
};

struct TypeMeta {
  std::string apiVersion;
  std::string kind;
};

// Reads `text` into the empty object. Unknown fields are skipped, of duplicates the last one counts; both are told to
// `strict` if given. `meta`, if given, receives kind and apiVersion of a type that has them. Errors are worded
// as Go's decoder words them ("json: cannot unmarshal string into Go struct field ..."), and syntax errors win.
// On an error the object holds what was read so far.
Status decodeJson(std::string_view text, void* object, const TypeInfo& t, StrictErrors* strict = nullptr,
                  TypeMeta* meta = nullptr);
template <typename T>
Result<T> fromJson(std::string_view text) {
  T object;
  if (Status s = decodeJson(text, &object, T::kType); !s.ok()) return s;
  return object;
}

// Success if `text` is one JSON value; otherwise the error that Go's scanner gives.
Status checkJsonSyntax(std::string_view text);

// The top-level "apiVersion" and "kind" of a JSON object, without reading the rest into anything. Absent ones are
// empty. Fails on text that is not a JSON object or where one of them is not a string.
Result<TypeMeta> peekTypeMeta(std::string_view text);

}  // namespace km::codec
