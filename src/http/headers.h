// Header fields in order of arrival, names in lower case, in two blocks of memory.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace km::http {

class Headers {
 public:
  struct Field {
    std::string_view name, value;
  };
  Headers() = default;
  Headers(std::initializer_list<Field> fields);

  void add(std::string_view name, std::string_view value);  // lower-cases the name
  void set(std::string_view name, std::string_view value);  // replaces all of the name
  void remove(std::string_view name);
  // The first value of a name (in lower case); "" if there is none.
  std::string_view get(std::string_view name) const;
  bool has(std::string_view name) const;
  std::vector<std::string_view> all(std::string_view name) const;
  // Whether a comma-separated list field has the token, ignoring case.
  bool hasToken(std::string_view name, std::string_view token) const;

  size_t size() const { return fields_.size(); }
  bool empty() const { return fields_.empty(); }
  Field operator[](size_t i) const {
    const Entry& e = fields_[i];
    return {{text_.data() + e.offset, e.nameSize}, {text_.data() + e.offset + e.nameSize, e.valueSize}};
  }
  void reserve(size_t fields, size_t bytes) {
    fields_.reserve(fields);
    text_.reserve(bytes);
  }
  void clear();

  class Iterator {
   public:
    Iterator(const Headers* headers, size_t at) : headers_(headers), at_(at) {}
    Field operator*() const { return (*headers_)[at_]; }
    Iterator& operator++() {
      ++at_;
      return *this;
    }
    bool operator!=(const Iterator& other) const { return at_ != other.at_; }

   private:
    const Headers* headers_;
    size_t at_;
  };
  // Views are good until the next change.
  Iterator begin() const { return {this, 0}; }
  Iterator end() const { return {this, fields_.size()}; }

 private:
  struct Entry {
    uint32_t offset, nameSize, valueSize;
  };
  std::string text_;
  std::vector<Entry> fields_;
};

}  // namespace km::http
