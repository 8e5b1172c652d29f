#include "object/diff.h"

#include <cstdlib>
#include <memory>
#include <vector>

#include "codec/json.h"
#include "codec/list.h"
#include "codec/ops.h"

namespace km::object {

using codec::Field;
using codec::Kind;
using codec::ListBase;
using codec::Quantity;
using codec::Shape;
using codec::String;
using codec::TypeInfo;
using codec::Value;

namespace {

bool sameQuantity(const void* a, const void* b) {
  const auto& x = *static_cast<const Quantity*>(a);
  const auto& y = *static_cast<const Quantity*>(b);
  return x == y && x.format() == y.format();
}

bool sameElement(const void* a, const void* b, const Field& f) {
  return f.kind == Kind::kMessage ? sameText(a, b, *f.type) : sameQuantity(a, b);
}

}  // namespace

bool sameText(const void* a, const void* b, const TypeInfo& t) {
  for (const Field& f : t) {
    if (!sameFieldText(a, b, f)) return false;
  }
  return true;
}

bool sameFieldText(const void* a, const void* b, const Field& f) {
  if (f.kind != Kind::kMessage && f.kind != Kind::kQuantity) return codec::equalField(a, b, f);
  const void* x = codec::at(a, f);
  const void* y = codec::at(b, f);
  switch (f.shape) {
    case Shape::kPlain:
      return sameElement(x, y, f);
    case Shape::kOpt: {
      if (f.kind == Kind::kMessage) {
        const void* p = *static_cast<void* const*>(x);
        const void* q = *static_cast<void* const*>(y);
        return p == nullptr || q == nullptr ? p == q : sameText(p, q, *f.type);
      }
      const auto& p = *static_cast<const std::optional<Quantity>*>(x);
      const auto& q = *static_cast<const std::optional<Quantity>*>(y);
      return p.has_value() == q.has_value() && (!p || sameQuantity(&*p, &*q));
    }
    case Shape::kList:
    case Shape::kMap: {
      const auto& p = *static_cast<const ListBase*>(x);
      const auto& q = *static_cast<const ListBase*>(y);
      if (p.size_ != q.size_) return false;
      uint32_t size = codec::sizeOf(f.kind, f.type);
      bool isMap = f.shape == Shape::kMap;
      uint32_t stride = isMap ? codec::mapEntrySize(size) : size;
      for (uint32_t i = 0; i < p.size_; i++) {
        const char* u = static_cast<const char*>(p.data_) + i * stride;
        const char* v = static_cast<const char*>(q.data_) + i * stride;
        if (isMap) {
          if (!(*reinterpret_cast<const String*>(u) == *reinterpret_cast<const String*>(v))) return false;
          u += sizeof(String);
          v += sizeof(String);
        }
        if (!sameElement(u, v, f)) return false;
      }
      return true;
    }
  }
  return false;
}

namespace {

struct Free {
  void operator()(void* p) const { std::free(p); }
};

// Bitwise copies of two structs that hold only what differs. They own none of the memory their fields point
// at, so they are never destroyed, only freed; in return the encoder sees nothing that is the same in both.
class Shadows {
 public:
  void* make(const TypeInfo& t) {
    owned_.emplace_back(std::calloc(1, t.size != 0 ? t.size : 1));
    return owned_.back().get();
  }

  void fill(const void* a, const void* b, void* x, void* y, const TypeInfo& t) {
    for (const Field& f : t) {
      if (sameFieldText(a, b, f)) continue;
      const void* from[2] = {codec::at(a, f), codec::at(b, f)};
      void* to[2] = {codec::at(x, f), codec::at(y, f)};
      bool message = f.kind == Kind::kMessage && f.type->form == codec::Form::kObject;
      // A struct that JSON leaves out when it is empty must not become so here.
      if (message && f.shape == Shape::kPlain && (f.flags & codec::kOmitZero) == 0) {
        fill(from[0], from[1], to[0], to[1], *f.type);
        continue;
      }
      if (message && f.shape == Shape::kOpt) {
        const void* p = *static_cast<void* const*>(from[0]);
        const void* q = *static_cast<void* const*>(from[1]);
        if (p != nullptr && q != nullptr) {
          void* u = *static_cast<void**>(to[0]) = make(*f.type);
          void* v = *static_cast<void**>(to[1]) = make(*f.type);
          fill(p, q, u, v, *f.type);
          continue;
        }
      }
      size_t size = fieldSize(f);
      std::memcpy(to[0], from[0], size);
      std::memcpy(to[1], from[1], size);
    }
  }

 private:
  static size_t fieldSize(const Field& f) {
    if (f.shape == Shape::kList || f.shape == Shape::kMap) return sizeof(ListBase);
    if (f.shape == Shape::kPlain) return codec::sizeOf(f.kind, f.type);
    if (f.kind == Kind::kMessage) return sizeof(void*);
    switch (f.kind) {
      case Kind::kBool:
        return sizeof(std::optional<bool>);
      case Kind::kInt32:
      case Kind::kUint32:
        return sizeof(std::optional<int32_t>);
      case Kind::kInt64:
      case Kind::kUint64:
        return sizeof(std::optional<int64_t>);
      case Kind::kDouble:
        return sizeof(std::optional<double>);
      case Kind::kString:
      case Kind::kBytes:
        return sizeof(std::optional<String>);
      case Kind::kQuantity:
        return sizeof(std::optional<Quantity>);
      case Kind::kTime:
        return sizeof(std::optional<codec::Time>);
      case Kind::kMicroTime:
        return sizeof(std::optional<codec::MicroTime>);
      case Kind::kDuration:
        return sizeof(std::optional<codec::GoDuration>);
      case Kind::kIntOrString:
        return sizeof(std::optional<codec::IntOrString>);
      case Kind::kRawJson:
        return sizeof(std::optional<codec::RawJson>);
      case Kind::kMessage:
        break;
    }
    return 0;
  }

  std::vector<std::unique_ptr<void, Free>> owned_;
};

}  // namespace

Comparison compareObjects(const api::Object& before, const api::Object& after) {
  const TypeInfo& t = before.type();
  Shadows shadows;
  void* a = shadows.make(t);
  void* b = shadows.make(t);
  shadows.fill(before.data(), after.data(), a, b, t);
  std::string left, right;
  codec::encodeJson(left, a, t);
  codec::encodeJson(right, b, t);
  if (left == right) return {};
  auto l = Value::parse(left), r = Value::parse(right);
  if (!l.ok() || !r.ok()) return {};
  return compareDocuments(*l, *r, Schema::of(t));
}

}  // namespace km::object
