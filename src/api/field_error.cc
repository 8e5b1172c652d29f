#include "api/field_error.h"

#include <fmt/format.h>

#include <algorithm>

namespace km::api {

std::string goQuote(std::string_view s) {
  std::string out;
  out.reserve(s.size() + 2);
  out += '"';
  for (size_t i = 0; i < s.size(); i++) {
    auto c = static_cast<unsigned char>(s[i]);
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      case '\a': out += "\\a"; break;
      case '\b': out += "\\b"; break;
      case '\f': out += "\\f"; break;
      case '\v': out += "\\v"; break;
      default:
        if (c < 0x20 || c == 0x7f) {
          out += fmt::format("\\x{:02x}", c);
        } else {
          out += static_cast<char>(c);
        }
    }
  }
  out += '"';
  return out;
}

// Validation makes paths for values that are good, too: hundreds for a pod.
Path Path::child(std::string_view name) const {
  Path p;
  p.text_.reserve(text_.size() + 1 + name.size());
  p.text_ = text_;
  if (!text_.empty()) p.text_ += '.';
  p.text_ += name;
  return p;
}

Path Path::index(size_t i) const { return key(std::to_string(i)); }

Path Path::key(std::string_view key) const {
  Path p;
  p.text_.reserve(text_.size() + 2 + key.size());
  p.text_ = text_;
  p.text_ += '[';
  p.text_ += key;
  p.text_ += ']';
  return p;
}

BadValue::BadValue(std::string_view s) : text(goQuote(s)) {}

BadValue BadValue::raw(std::string text) {
  BadValue v;
  v.text = std::move(text);
  return v;
}

void FieldErrors::put(std::string_view reason, const Path& p, std::string message) {
  errors_.push_back({std::string(reason), p.str(), std::move(message)});
}

namespace {
std::string withDetail(std::string head, std::string_view detail) {
  if (!detail.empty()) {
    head += ": ";
    head += detail;
  }
  return head;
}
}  // namespace

void FieldErrors::required(const Path& p, std::string_view detail) {
  put("FieldValueRequired", p, withDetail("Required value", detail));
}
void FieldErrors::invalid(const Path& p, const BadValue& value, std::string_view detail) {
  put("FieldValueInvalid", p, withDetail(value.text.empty() ? "Invalid value" : "Invalid value: " + value.text, detail));
}
void FieldErrors::notSupported(const Path& p, const BadValue& value,
                               const std::vector<std::string_view>& supported) {
  std::string list;
  for (std::string_view s : supported) list += (list.empty() ? "" : ", ") + goQuote(s);
  put("FieldValueNotSupported", p,
      withDetail("Unsupported value: " + value.text, list.empty() ? "" : "supported values: " + list));
}
void FieldErrors::forbidden(const Path& p, std::string_view detail) {
  put("FieldValueForbidden", p, withDetail("Forbidden", detail));
}
void FieldErrors::duplicate(const Path& p, const BadValue& value) {
  put("FieldValueDuplicate", p, "Duplicate value: " + value.text);
}
void FieldErrors::notFound(const Path& p, const BadValue& value) {
  put("FieldValueNotFound", p, "Not found: " + value.text);
}
void FieldErrors::tooLong(const Path& p, int maxLength) {
  put("FieldValueTooLong", p, fmt::format("Too long: may not be more than {} bytes", maxLength));
}
void FieldErrors::tooMany(const Path& p, int actual, int max) {
  put("FieldValueTooMany", p, fmt::format("Too many: {}: must have at most {} items", actual, max));
}
void FieldErrors::typeInvalid(const Path& p, const BadValue& value, std::string_view detail) {
  put("FieldValueTypeInvalid", p, withDetail("Invalid value: " + value.text, detail));
}
void FieldErrors::internal(const Path& p, std::string_view detail) {
  put("InternalError", p, withDetail("Internal error", detail));
}
void FieldErrors::each(const Path& p, const BadValue& value, const std::vector<std::string>& messages) {
  for (const std::string& m : messages) invalid(p, value, m);
}

void FieldErrors::add(const FieldErrors& more) {
  errors_.insert(errors_.end(), more.errors_.begin(), more.errors_.end());
}

std::string FieldErrors::aggregate() const {
  std::vector<std::string> texts;
  for (const FieldError& e : errors_) {
    std::string s = fmt::format("{}: {}", e.field.empty() ? "<nil>" : e.field, e.message);
    if (std::find(texts.begin(), texts.end(), s) == texts.end()) texts.push_back(std::move(s));
  }
  if (texts.size() == 1) return texts[0];
  return fmt::format("[{}]", fmt::join(texts, ", "));
}

Status FieldErrors::toStatus(std::string_view group, std::string_view kind, std::string_view name) const {
  if (empty()) return {};
  StatusDetails d;
  d.group = group;
  d.kind = kind;
  d.name = name;
  for (const FieldError& e : errors_) d.causes.push_back({e.reason, e.message, e.field});
  std::string gk(kind);
  if (!group.empty()) gk += fmt::format(".{}", group);
  return {422, "Invalid", fmt::format("{} {} is invalid: {}", gk, goQuote(name), aggregate()), std::move(d)};
}

}  // namespace km::api
