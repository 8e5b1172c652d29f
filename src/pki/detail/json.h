// The little JSON that claims and key sets need. Only for sources of pki.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace km::pki {

struct Json {
  enum Kind : uint8_t { kNull, kBool, kNumber, kString, kArray, kObject } kind = kNull;
  bool boolean = false;
  double number = 0;
  std::string text;
  std::vector<Json> items;         // of an array, or the values of an object
  std::vector<std::string> names;  // of an object, beside items; a repeated name is an error

  const Json* find(std::string_view name) const;
  std::string stringAt(std::string_view name) const;  // "" if absent or something else
  std::optional<int64_t> integerAt(std::string_view name) const;
};

// RFC 8259 with at most 32 levels; nullopt for anything else.
std::optional<Json> parseJson(std::string_view text);

// Escaped as Go's encoding/json does, in quotes.
void appendJsonString(std::string& out, std::string_view text);

// Writes an object member by member: the caller gives them in order.
class JsonObject {
 public:
  JsonObject& text(std::string_view name, std::string_view value);
  JsonObject& integer(std::string_view name, int64_t value);
  JsonObject& texts(std::string_view name, const std::vector<std::string>& values);
  JsonObject& raw(std::string_view name, std::string_view json);
  std::string str() const { return out_ + '}'; }

 private:
  void begin(std::string_view name);
  std::string out_ = "{";
};

}  // namespace km::pki
