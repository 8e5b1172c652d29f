// Value: any JSON value, for code that works on documents rather than on API structs: patches, field sets,
// templates.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "codec/json.h"
#include "codec/string.h"

namespace km::codec {

// Deeper documents are refused.
inline constexpr int kMaxValueDepth = 1000;

// 24 bytes, of which all zero are null; moving one is copying its bytes. An object's members are sorted by
// the bytes of their keys, which are unique.
class Value {
 public:
  enum class Type : uint8_t { kNull, kBool, kInt, kDouble, kString, kList, kObject };
  struct Member;

  Value() noexcept { std::memset(static_cast<void*>(this), 0, sizeof *this); }
  Value(const Value& o) : Value() { copyFrom(o); }
  Value(Value&& o) noexcept {
    std::memcpy(static_cast<void*>(this), &o, sizeof *this);
    std::memset(static_cast<void*>(&o), 0, sizeof o);
  }
  ~Value() {
    if (type_ >= Type::kString) release();
  }
  Value& operator=(const Value& o) {
    if (this != &o) {
      Value copy(o);
      swap(copy);
    }
    return *this;
  }
  Value& operator=(Value&& o) noexcept {
    Value taken(std::move(o));
    swap(taken);
    return *this;
  }
  void swap(Value& o) noexcept {
    char t[sizeof(Value)];
    std::memcpy(t, static_cast<void*>(this), sizeof t);
    std::memcpy(static_cast<void*>(this), &o, sizeof t);
    std::memcpy(static_cast<void*>(&o), t, sizeof t);
  }

  static Value boolean(bool v);
  static Value integer(int64_t v);
  static Value number(double v);
  static Value string(std::string_view v);
  static Value list();
  static Value object();

  Type type() const { return type_; }
  bool isNull() const { return type_ == Type::kNull; }
  bool isBool() const { return type_ == Type::kBool; }
  bool isInt() const { return type_ == Type::kInt; }
  bool isDouble() const { return type_ == Type::kDouble; }
  bool isString() const { return type_ == Type::kString; }
  bool isList() const { return type_ == Type::kList; }
  bool isObject() const { return type_ == Type::kObject; }
  bool isScalar() const { return type_ != Type::kNull && type_ < Type::kList; }

  // The value if it has the type; else an empty one.
  bool asBool() const { return isBool() && bool_; }
  int64_t asInt() const { return isInt() ? int_ : 0; }
  double asDouble() const { return isDouble() ? double_ : isInt() ? static_cast<double>(int_) : 0; }
  std::string_view asString() const { return isString() ? string_.view() : std::string_view(); }

  // Elements of a list, members of an object; 0 of anything else.
  size_t size() const { return type_ >= Type::kList ? block_.size : 0; }
  std::span<Value> items();
  std::span<const Value> items() const;
  std::span<Member> members();
  std::span<const Member> members() const;

  // Of a list. A null becomes one.
  Value& push(Value v);
  Value& insert(size_t index, Value v);
  void remove(size_t index);

  // Of an object; find answers null for anything else.
  Value* find(std::string_view key);
  const Value* find(std::string_view key) const { return const_cast<Value*>(this)->find(key); }
  // The member, made null if there was none. A null value becomes an object.
  Value& operator[](std::string_view key);
  void set(std::string_view key, Value v) { (*this)[key] = std::move(v); }
  bool erase(std::string_view key);
  void clear();  // becomes null

  // Reads one document. `strict`, if given, receives duplicate keys (the last one counts). Errors are those
  // of Go's decoder.
  static Result<Value> parse(std::string_view text, StrictErrors* strict = nullptr);
  // Compact JSON with sorted keys, as Go prints maps.
  void appendJson(std::string& out) const { print(out, false); }
  std::string json() const;
  // The same, but a double without fraction keeps a ".0", so that who decodes it sees that it was written as
  // no integer.
  void appendExactJson(std::string& out) const { print(out, true); }

  // Deep; an integer equals a double of its value.
  friend bool operator==(const Value& a, const Value& b);
  // The total order of structured-merge-diff: numbers, texts, bools, lists, objects, null.
  static int compare(const Value& a, const Value& b);

 private:
  struct Block {
    void* data;
    uint32_t size;
    uint32_t capacity;
  };

  void copyFrom(const Value& o);
  void release();
  void print(std::string& out, bool exact) const;
  void* open(size_t index, size_t elemSize);  // a zeroed place in the block
  void close(size_t index, size_t elemSize);
  size_t lowerBound(std::string_view key, bool* found) const;

  union {
    bool bool_;
    int64_t int_;
    double double_;
    String string_;
    Block block_;
  };
  Type type_;
};
static_assert(sizeof(Value) == 24);

struct Value::Member {
  String key;
  Value value;
};

inline std::span<Value> Value::items() {
  return isList() ? std::span(static_cast<Value*>(block_.data), block_.size) : std::span<Value>();
}
inline std::span<const Value> Value::items() const {
  return const_cast<Value*>(this)->items();
}
inline std::span<Value::Member> Value::members() {
  return isObject() ? std::span(static_cast<Member*>(block_.data), block_.size) : std::span<Member>();
}
inline std::span<const Value::Member> Value::members() const {
  return const_cast<Value*>(this)->members();
}

}  // namespace km::codec
