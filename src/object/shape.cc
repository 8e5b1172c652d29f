#include "object/shape.h"

#include "base/strings.h"
#include "codec/json.h"
#include "codec/list.h"
#include "codec/ops.h"

namespace km::object {

using codec::Field;
using codec::Kind;
using codec::ListBase;
using codec::ListKind;
using codec::Shape;
using codec::String;
using codec::TypeInfo;

namespace {

void appendNumber(std::string& out, uint32_t n) {
  for (; n >= 0x80; n >>= 7) out += static_cast<char>(n | 0x80);
  out += static_cast<char>(n);
}

void appendText(std::string& out, std::string_view s) {
  appendNumber(out, static_cast<uint32_t>(s.size()));
  out += s;
}

// Every value of the element: it is told apart by them.
bool appendScalar(std::string& out, const void* p, Kind kind) {
  switch (kind) {
    case Kind::kString:
      appendText(out, *static_cast<const String*>(p));
      return true;
    case Kind::kInt32:
    case Kind::kUint32:
      out.append(static_cast<const char*>(p), 4);
      return true;
    case Kind::kInt64:
    case Kind::kUint64:
      out.append(static_cast<const char*>(p), 8);
      return true;
    case Kind::kBool:
      out += *static_cast<const bool*>(p) ? '\1' : '\0';
      return true;
    default:
      return false;
  }
}

bool appendKeys(std::string& out, const void* element, const Field& list) {
  for (std::string_view key : split(list.marks->listKeys, ',')) {
    const Field* f = list.type->find(key);
    if (f == nullptr) return false;
    bool empty = codec::isEmptyField(element, *f);
    out += empty ? '-' : '=';
    if (empty) continue;
    if (f->shape != Shape::kPlain || !appendScalar(out, codec::at(element, *f), f->kind)) return false;
  }
  return true;
}

bool appendMessage(std::string& out, const void* p, const TypeInfo& t) {
  out += '{';
  if (!appendShape(out, p, t)) return false;
  out += '}';
  return true;
}

bool appendList(std::string& out, const ListBase& list, const Field& f) {
  ListKind kind = f.marks != nullptr ? f.marks->listKind : ListKind::kUnset;
  if (kind != ListKind::kSet && kind != ListKind::kMap) return true;  // owned as a whole
  appendNumber(out, list.size_);
  uint32_t stride = codec::sizeOf(f.kind, f.type);
  for (uint32_t i = 0; i < list.size_; i++) {
    const char* e = static_cast<const char*>(list.data_) + static_cast<size_t>(i) * stride;
    if (kind == ListKind::kSet) {
      if (f.kind == Kind::kMessage || !appendScalar(out, e, f.kind)) return false;
      continue;
    }
    if (f.kind != Kind::kMessage || f.marks->listKeys == nullptr) return false;
    if (!appendKeys(out, e, f) || !appendMessage(out, e, *f.type)) return false;
  }
  return true;
}

bool appendMap(std::string& out, const ListBase& map, const Field& f) {
  appendNumber(out, map.size_);
  uint32_t stride = codec::mapEntrySize(codec::sizeOf(f.kind, f.type));
  for (uint32_t i = 0; i < map.size_; i++) {
    const char* e = static_cast<const char*>(map.data_) + static_cast<size_t>(i) * stride;
    appendText(out, *reinterpret_cast<const String*>(e));
    if (f.kind == Kind::kMessage && !appendMessage(out, e + sizeof(String), *f.type)) return false;
  }
  return true;
}

}  // namespace

bool appendShape(std::string& out, const void* object, const TypeInfo& t) {
  if (t.form != codec::Form::kObject) return false;
  uint32_t index = 0;
  for (const Field& f : t) {
    index++;
    if (codec::isEmptyField(object, f)) continue;  // there or not, as in an object without anything
    if (f.kind == Kind::kRawJson) return false;
    appendNumber(out, index);
    const void* p = codec::at(object, f);
    bool ok = true;
    switch (f.shape) {
      case Shape::kPlain:
        if (f.kind == Kind::kMessage) ok = appendMessage(out, p, *f.type);
        break;
      case Shape::kOpt:
        if (f.kind == Kind::kMessage) ok = appendMessage(out, *static_cast<void* const*>(p), *f.type);
        break;
      case Shape::kList:
        ok = appendList(out, *static_cast<const ListBase*>(p), f);
        break;
      case Shape::kMap:
        ok = appendMap(out, *static_cast<const ListBase*>(p), f);
        break;
    }
    if (!ok) return false;
  }
  return true;
}

}  // namespace km::object
