#include "codec/value.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <new>
#include <vector>

#include "codec/json_scan.h"

namespace km::codec {

Value Value::boolean(bool v) {
  Value o;
  o.type_ = Type::kBool;
  o.bool_ = v;
  return o;
}

Value Value::integer(int64_t v) {
  Value o;
  o.type_ = Type::kInt;
  o.int_ = v;
  return o;
}

Value Value::number(double v) {
  Value o;
  o.type_ = Type::kDouble;
  o.double_ = v;
  return o;
}

Value Value::string(std::string_view v) {
  Value o;
  new (&o.string_) String(v);
  o.type_ = Type::kString;
  return o;
}

Value Value::list() {
  Value o;
  o.type_ = Type::kList;
  return o;
}

Value Value::object() {
  Value o;
  o.type_ = Type::kObject;
  return o;
}

void Value::copyFrom(const Value& o) {
  switch (o.type_) {
    case Type::kString:
      new (&string_) String(o.string_);
      type_ = Type::kString;
      break;
    case Type::kList:
    case Type::kObject: {
      type_ = o.type_;
      size_t elem = isList() ? sizeof(Value) : sizeof(Member);
      if (o.block_.size == 0) break;
      block_.data = std::malloc(o.block_.size * elem);
      if (block_.data == nullptr) throw std::bad_alloc();
      block_.capacity = o.block_.size;
      for (; block_.size < o.block_.size; block_.size++) {
        if (isList()) {
          new (static_cast<Value*>(block_.data) + block_.size) Value(o.items()[block_.size]);
        } else {
          new (static_cast<Member*>(block_.data) + block_.size) Member(o.members()[block_.size]);
        }
      }
      break;
    }
    default:
      std::memcpy(static_cast<void*>(this), &o, sizeof *this);
  }
}

void Value::release() {
  if (type_ == Type::kString) {
    string_.~String();
  } else if (block_.data != nullptr) {
    for (Value& v : items()) v.~Value();
    for (Member& m : members()) m.~Member();
    std::free(block_.data);
  }
}

void Value::clear() {
  if (type_ >= Type::kString) release();
  std::memset(static_cast<void*>(this), 0, sizeof *this);
}

void* Value::open(size_t index, size_t elemSize) {
  if (block_.size == block_.capacity) {
    uint32_t wanted = block_.capacity == 0 ? 4 : block_.capacity * 2;
    void* grown = std::realloc(block_.data, wanted * elemSize);
    if (grown == nullptr) throw std::bad_alloc();
    block_.data = grown;
    block_.capacity = wanted;
  }
  char* at = static_cast<char*>(block_.data) + index * elemSize;
  std::memmove(at + elemSize, at, (block_.size - index) * elemSize);
  std::memset(at, 0, elemSize);
  block_.size++;
  return at;
}

void Value::close(size_t index, size_t elemSize) {
  char* at = static_cast<char*>(block_.data) + index * elemSize;
  block_.size--;
  std::memmove(at, at + elemSize, (block_.size - index) * elemSize);
}

Value& Value::push(Value v) {
  return insert(size(), std::move(v));
}

Value& Value::insert(size_t index, Value v) {
  if (isNull()) *this = list();
  return *new (open(index, sizeof(Value))) Value(std::move(v));
}

void Value::remove(size_t index) {
  items()[index].~Value();
  close(index, sizeof(Value));
}

size_t Value::lowerBound(std::string_view key, bool* found) const {
  auto m = members();
  size_t lo = 0, hi = m.size();
  while (lo < hi) {
    size_t mid = (lo + hi) / 2;
    int c = m[mid].key.view().compare(key);
    if (c == 0) {
      *found = true;
      return mid;
    }
    (c < 0 ? lo : hi) = c < 0 ? mid + 1 : mid;
  }
  *found = false;
  return lo;
}

Value* Value::find(std::string_view key) {
  if (!isObject()) return nullptr;
  bool found;
  size_t i = lowerBound(key, &found);
  return found ? &members()[i].value : nullptr;
}

Value& Value::operator[](std::string_view key) {
  if (isNull()) *this = object();
  bool found;
  size_t i = lowerBound(key, &found);
  if (found) return members()[i].value;
  auto* m = new (open(i, sizeof(Member))) Member{String(key), Value()};
  return m->value;
}

bool Value::erase(std::string_view key) {
  if (!isObject()) return false;
  bool found;
  size_t i = lowerBound(key, &found);
  if (!found) return false;
  members()[i].~Member();
  close(i, sizeof(Member));
  return true;
}

namespace {

class Parser {
 public:
  Parser(std::string_view text, StrictErrors* strict) : scan_(text), strict_(strict) {}

  bool document(Value& v) { return value(v, 0) && scan_.atEnd(); }
  bool tooDeep() const { return tooDeep_; }

 private:
  bool value(Value& v, int depth) {
    if (depth > kMaxValueDepth) {
      tooDeep_ = true;
      return false;
    }
    std::string_view s;
    switch (scan_.peek()) {
      case '{':
        return object(v, depth);
      case '[':
        return list(v, depth);
      case '"':
        if (!scan_.readString(s, buffer_)) return false;
        v = Value::string(s);
        return true;
      case 't':
        v = Value::boolean(true);
        return scan_.takeWord("true");
      case 'f':
        v = Value::boolean(false);
        return scan_.takeWord("false");
      case 'n':
        return scan_.takeWord("null");
      default:
        return number(v);
    }
  }

  bool number(Value& v) {
    std::string_view s;
    if (!scan_.readNumber(s)) return false;
    const char* end = s.data() + s.size();
    if (s.find_first_of(".eE") == std::string_view::npos) {
      int64_t i;
      if (auto r = std::from_chars(s.data(), end, i); r.ec == std::errc()) {
        v = Value::integer(i);
        return true;
      }
    }
    double d = 0;
    auto r = std::from_chars(s.data(), end, d);
    if (r.ec == std::errc::result_out_of_range) d = std::strtod(std::string(s).c_str(), nullptr);
    if (!std::isfinite(d)) return false;
    v = Value::number(d);
    return true;
  }

  bool list(Value& v, int depth) {
    v = Value::list();
    scan_.take('[');
    if (scan_.take(']')) return true;
    do {
      Step step{{}, static_cast<int64_t>(v.size())};
      if (strict_ != nullptr) path_.push_back(step);
      if (!value(v.push({}), depth + 1)) return false;
      if (strict_ != nullptr) path_.pop_back();
    } while (scan_.take(','));
    return scan_.take(']');
  }

  bool object(Value& v, int depth) {
    v = Value::object();
    scan_.take('{');
    if (scan_.take('}')) return true;
    do {
      std::string_view key;
      if (!scan_.readString(key, buffer_) || !scan_.take(':')) return false;
      size_t before = v.size();
      Value& member = v[key];
      if (strict_ != nullptr) {
        path_.push_back({std::string(key), -1});
        if (v.size() == before) strict_->errors.push_back(fmt::format("duplicate field \"{}\"", path()));
      }
      member.clear();
      if (!value(member, depth + 1)) return false;
      if (strict_ != nullptr) path_.pop_back();
    } while (scan_.take(','));
    return scan_.take('}');
  }

  struct Step {
    std::string name;
    int64_t index;
  };
  std::string path() const {
    std::string out;
    for (const Step& s : path_) {
      if (s.index >= 0) {
        out += fmt::format("[{}]", s.index);
      } else {
        if (!out.empty()) out += '.';
        out += s.name;
      }
    }
    return out;
  }

  JsonScan scan_;
  StrictErrors* strict_;
  std::string buffer_;
  std::vector<Step> path_;
  bool tooDeep_ = false;
};

}  // namespace

Result<Value> Value::parse(std::string_view text, StrictErrors* strict) {
  Value v;
  Parser p(text, strict);
  if (p.document(v)) return v;
  if (p.tooDeep()) return errors::badRequest("exceeded max depth");
  if (Status s = checkJsonSyntax(text); !s.ok()) return s;
  return errors::badRequest("json: cannot unmarshal number into Go value of type float64");
}

void Value::print(std::string& out, bool exact) const {
  switch (type_) {
    case Type::kNull:
      out += "null";
      break;
    case Type::kBool:
      out += bool_ ? "true" : "false";
      break;
    case Type::kInt:
      out += std::to_string(int_);
      break;
    case Type::kDouble: {
      size_t before = out.size();
      appendJsonDouble(out, double_);
      if (exact && out.find_first_of(".eE", before) == std::string::npos) out += ".0";
      break;
    }
    case Type::kString:
      appendJsonString(out, string_);
      break;
    case Type::kList: {
      out += '[';
      for (const Value& v : items()) {
        if (&v != items().data()) out += ',';
        v.print(out, exact);
      }
      out += ']';
      break;
    }
    case Type::kObject: {
      out += '{';
      for (const Member& m : members()) {
        if (&m != members().data()) out += ',';
        appendJsonString(out, m.key);
        out += ':';
        m.value.print(out, exact);
      }
      out += '}';
      break;
    }
  }
}

std::string Value::json() const {
  std::string out;
  appendJson(out);
  return out;
}

bool operator==(const Value& a, const Value& b) {
  using Type = Value::Type;
  if (a.type_ != b.type_) {
    bool numbers = (a.isInt() || a.isDouble()) && (b.isInt() || b.isDouble());
    return numbers && a.asDouble() == b.asDouble();
  }
  switch (a.type_) {
    case Type::kNull:
      return true;
    case Type::kBool:
      return a.bool_ == b.bool_;
    case Type::kInt:
      return a.int_ == b.int_;
    case Type::kDouble:
      return a.double_ == b.double_;
    case Type::kString:
      return a.string_ == b.string_;
    case Type::kList:
    case Type::kObject:
      break;
  }
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.items().size(); i++) {
    if (!(a.items()[i] == b.items()[i])) return false;
  }
  for (size_t i = 0; i < a.members().size(); i++) {
    const auto& m = a.members()[i];
    const auto& n = b.members()[i];
    if (!(m.key == n.key) || !(m.value == n.value)) return false;
  }
  return true;
}

namespace {
int rank(const Value& v) {
  switch (v.type()) {
    case Value::Type::kDouble:
    case Value::Type::kInt:
      return 0;
    case Value::Type::kString:
      return 1;
    case Value::Type::kBool:
      return 2;
    case Value::Type::kList:
      return 3;
    case Value::Type::kObject:
      return 4;
    case Value::Type::kNull:
      return 5;
  }
  return 6;
}
template <typename T>
int order(const T& a, const T& b) {
  return a < b ? -1 : b < a ? 1 : 0;
}
}  // namespace

int Value::compare(const Value& a, const Value& b) {
  if (int c = order(rank(a), rank(b)); c != 0) return c;
  switch (a.type_) {
    case Type::kNull:
      return 0;
    case Type::kBool:
      return order(a.bool_, b.bool_);
    case Type::kInt:
      if (b.isInt()) return order(a.int_, b.int_);
      return order(a.asDouble(), b.asDouble());
    case Type::kDouble:
      return order(a.asDouble(), b.asDouble());
    case Type::kString:
      return order(a.string_.view().compare(b.string_.view()), 0);
    case Type::kList:
      for (size_t i = 0; i < a.size() && i < b.size(); i++) {
        if (int c = compare(a.items()[i], b.items()[i]); c != 0) return c;
      }
      return order(a.size(), b.size());
    case Type::kObject:
      for (size_t i = 0; i < a.size() && i < b.size(); i++) {
        const auto& m = a.members()[i];
        const auto& n = b.members()[i];
        if (int c = order(m.key.view().compare(n.key.view()), 0); c != 0) return c;
        if (int c = compare(m.value, n.value); c != 0) return c;
      }
      return order(a.size(), b.size());
  }
  return 0;
}

}  // namespace km::codec
