// Sets of paths to fields, as structured-merge-diff has them, and their text in FieldsV1.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "codec/value.h"

namespace km::object {

// One step of a path: a field's name, an element of a list by its key fields, by its value, or by its index.
struct PathElement {
  enum class Kind : uint8_t { kField, kKey, kValue, kIndex };
  Kind kind = Kind::kField;
  codec::String name;  // of kField
  codec::Value value;  // kKey: an object of the key fields; kValue: the value; kIndex: a number

  static PathElement field(std::string_view name);
  static PathElement key(codec::Value fields);
  static PathElement element(codec::Value value);
  static PathElement index(int64_t i);

  std::string str() const;   // ".name", "[name=\"a\"]", "[=\"v\"]", "[3]"
  std::string text() const;  // "f:name", "k:{\"name\":\"a\"}", "v:\"x\"", "i:3"
  static Result<PathElement> parse(std::string_view text);

  friend int compare(const PathElement& a, const PathElement& b);
  friend bool operator<(const PathElement& a, const PathElement& b) { return compare(a, b) < 0; }
  friend bool operator==(const PathElement& a, const PathElement& b) { return compare(a, b) == 0; }
};
int compare(const PathElement& a, const PathElement& b);

using FieldPath = std::vector<PathElement>;
std::string pathText(const FieldPath& path);

class FieldSet {
 public:
  struct Child;

  bool empty() const;
  size_t size() const;
  void insert(const FieldPath& path);
  void insertMember(PathElement e);
  bool has(const FieldPath& path) const;
  bool hasMember(const PathElement& e) const;
  // The set below `e`; null if there is none.
  const FieldSet* child(const PathElement& e) const;
  FieldSet& descend(const PathElement& e);

  const std::vector<PathElement>& members() const { return members_; }  // sorted
  const std::vector<Child>& children() const { return children_; }      // sorted

  FieldSet unite(const FieldSet& o) const;
  FieldSet intersect(const FieldSet& o) const;
  FieldSet subtract(const FieldSet& o) const;             // paths of `o` themselves
  FieldSet subtractRecursively(const FieldSet& o) const;  // and everything below them
  // Every path, a level's members before what is below its children.
  void each(const std::function<void(const FieldPath&)>& visit) const;

  friend bool operator==(const FieldSet& a, const FieldSet& b);

  // FieldsV1: {"f:metadata":{"f:labels":{".":{},"f:app":{}}}}.
  std::string json() const;
  static Result<FieldSet> parse(std::string_view json);
  // Of dotted names: "metadata.labels".
  static FieldSet ofNames(const std::vector<std::string_view>& paths);

 private:
  void eachBelow(FieldPath& prefix, const std::function<void(const FieldPath&)>& visit) const;
  void append(std::string& out, bool self) const;
  static Status read(const codec::Value& v, FieldSet* set, bool* any, bool* member);

  std::vector<PathElement> members_;
  std::vector<Child> children_;
};

struct FieldSet::Child {
  PathElement element;
  FieldSet set;
  friend bool operator==(const Child& a, const Child& b) { return a.element == b.element && a.set == b.set; }
};

}  // namespace km::object
