// Errors about fields, worded as k8s.io/apimachinery/pkg/util/validation/field words them.
#pragma once

#include <concepts>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace km::api {

// A path to a field: Path("spec").child("containers").index(0).child("name") is "spec.containers[0].name".
class Path {
 public:
  Path() = default;
  explicit Path(std::string_view root) : text_(root) {}
  Path child(std::string_view name) const;
  Path index(size_t i) const;
  Path key(std::string_view key) const;  // "labels[a]"
  const std::string& str() const { return text_; }

 private:
  std::string text_;
};

// How a rejected value is printed.
struct BadValue {
  std::string text;
  BadValue(std::string_view s);  // NOLINT: quoted
  BadValue(const char* s) : BadValue(std::string_view(s)) {}            // NOLINT
  BadValue(const std::string& s) : BadValue(std::string_view(s)) {}     // NOLINT
  template <std::integral I>
  BadValue(I v) : text(std::to_string(v)) {}  // NOLINT
  BadValue(bool v) : text(v ? "true" : "false") {}  // NOLINT
  // Printed as it is: "null", JSON of a struct.
  static BadValue raw(std::string text);

 private:
  BadValue() = default;
};

struct FieldError {
  std::string reason;   // "FieldValueInvalid"
  std::string field;
  std::string message;  // "Invalid value: \"x\": must be ..."
};

class FieldErrors {
 public:
  void required(const Path& p, std::string_view detail);
  void invalid(const Path& p, const BadValue& value, std::string_view detail);
  void notSupported(const Path& p, const BadValue& value, const std::vector<std::string_view>& supported);  // in this order
  void forbidden(const Path& p, std::string_view detail);
  void duplicate(const Path& p, const BadValue& value);
  void notFound(const Path& p, const BadValue& value);
  void tooLong(const Path& p, int maxLength);
  void tooMany(const Path& p, int actual, int max);
  void typeInvalid(const Path& p, const BadValue& value, std::string_view detail);
  void internal(const Path& p, std::string_view detail);
  // One `invalid` for each message.
  void each(const Path& p, const BadValue& value, const std::vector<std::string>& messages);

  bool empty() const { return errors_.empty(); }
  size_t size() const { return errors_.size(); }
  const std::vector<FieldError>& errors() const { return errors_; }
  void add(const FieldErrors& more);
  // "a: Invalid value..." or "[a: ..., b: ...]", without repetitions.
  std::string aggregate() const;
  // 422 Invalid: `Pod "x" is invalid: ...`, with a cause for each error. Success if there are none.
  Status toStatus(std::string_view group, std::string_view kind, std::string_view name) const;

 private:
  void put(std::string_view reason, const Path& p, std::string message);
  std::vector<FieldError> errors_;
};

// Go's %q of a text.
std::string goQuote(std::string_view s);

}  // namespace km::api
