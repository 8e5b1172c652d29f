// A document with its schema, and the walks that server-side apply is made of (structured-merge-diff's
// package typed).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "codec/type.h"
#include "codec/value.h"
#include "object/field_set.h"

namespace km::object {

// What the field tables say of one place of a document. Cheap to copy.
class Schema {
 public:
  enum class Kind : uint8_t { kScalar, kStruct, kMap, kList, kRaw, kAnything };
  enum class Scalar : uint8_t { kUntyped, kString, kNumeric, kBoolean };

  static Schema of(const codec::TypeInfo& t);

  Kind kind() const { return kind_; }
  Scalar scalar() const { return scalar_; }
  // Owned as a whole.
  bool atomic() const { return atomic_; }
  // Of a list: its elements are told apart by these fields; empty: by value. Only if not atomic.
  std::vector<std::string_view> keys() const;
  // The constant default of a list's key field; null if there is none.
  codec::Value keyDefault(std::string_view key) const;
  // Of a struct: the field, false if there is none.
  bool field(std::string_view name, Schema* out) const;
  // Of a map, list or raw value.
  Schema element() const;
  // Resolves a raw value, which has the kind of what stands there.
  Schema deduced(const codec::Value& v) const;

 private:
  static Schema ofField(const codec::Field& f);
  static Schema ofValue(codec::Kind kind, const codec::TypeInfo* type);

  const codec::TypeInfo* type_ = nullptr;  // of a struct, or of a list's or map's messages
  const codec::FieldMarks* marks_ = nullptr;
  codec::Kind elementKind_ = codec::Kind::kString;
  Kind kind_ = Kind::kAnything;
  Scalar scalar_ = Scalar::kUntyped;
  bool atomic_ = false;
};

struct Comparison {
  FieldSet removed, modified, added;
  bool broken = false;  // a list has an element that its keys do not tell: upstream refuses such objects
  bool same() const { return removed.empty() && modified.empty() && added.empty(); }
  void exclude(const FieldSet& fields);
};

// What is wrong with the document, in upstream's words; empty if nothing is.
std::vector<std::string> validate(const codec::Value& v, const Schema& s);
// One text of several: "errors:\n  a\n  b".
std::string joinErrors(const std::vector<std::string>& errors);

FieldSet fieldSetOf(const codec::Value& v, const Schema& s);
Comparison compareDocuments(const codec::Value& left, const codec::Value& right, const Schema& s);
// `right` merged into `left`.
codec::Value mergeDocuments(const codec::Value& left, const codec::Value& right, const Schema& s);
codec::Value removeFields(const codec::Value& v, const FieldSet& fields, const Schema& s);
// Fields of structs that lead to members become members.
FieldSet withNamedFields(const FieldSet& set, const Schema& s);
// Paths below atomic places become the places themselves (the schema was granular when they were written).
FieldSet reconciled(const FieldSet& set, const Schema& s);

// The path element of a list's element; nullopt (and *error) if it has none.
std::optional<PathElement> elementPath(const codec::Value& element, const Schema& list, std::string* error);

}  // namespace km::object
