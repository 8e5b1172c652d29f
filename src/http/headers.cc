#include "http/headers.h"

#include <strings.h>

#include <algorithm>

#include "http/text.h"

namespace km::http {

Headers::Headers(std::initializer_list<Field> fields) {
  size_t bytes = 0;
  for (const Field& f : fields) bytes += f.name.size() + f.value.size();
  reserve(fields.size(), bytes);
  for (const Field& f : fields) add(f.name, f.value);
}

void Headers::add(std::string_view name, std::string_view value) {
  fields_.push_back({static_cast<uint32_t>(text_.size()), static_cast<uint32_t>(name.size()),
                     static_cast<uint32_t>(value.size())});
  for (char c : name) text_.push_back(lower(c));
  text_.append(value);
}

void Headers::set(std::string_view name, std::string_view value) {
  remove(name);
  add(name, value);
}

void Headers::remove(std::string_view name) {
  fields_.erase(std::remove_if(fields_.begin(), fields_.end(),
                               [&](const Entry& e) {
                                 return name == std::string_view(text_.data() + e.offset, e.nameSize);
                               }),
                fields_.end());
}

std::string_view Headers::get(std::string_view name) const {
  for (Field f : *this) {
    if (f.name == name) return f.value;
  }
  return {};
}

bool Headers::has(std::string_view name) const {
  for (Field f : *this) {
    if (f.name == name) return true;
  }
  return false;
}

std::vector<std::string_view> Headers::all(std::string_view name) const {
  std::vector<std::string_view> out;
  for (Field f : *this) {
    if (f.name == name) out.push_back(f.value);
  }
  return out;
}

bool Headers::hasToken(std::string_view name, std::string_view token) const {
  for (Field f : *this) {
    if (f.name != name) continue;
    for (std::string_view item : splitList(f.value)) {
      if (equalsIgnoringCase(item, token)) return true;
    }
  }
  return false;
}

void Headers::clear() {
  text_.clear();
  fields_.clear();
}

}  // namespace km::http
