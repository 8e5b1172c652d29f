#include <bit>

#include <fmt/format.h>

#include "codec/list.h"
#include "codec/ops.h"
#include "codec/optional.h"
#include "codec/proto.h"

namespace km::codec {
namespace {

constexpr int kMaxDepth = 1000;

// Reads fields of one message.
class Reader {
 public:
  explicit Reader(std::string_view s) : p_(s.data()), end_(s.data() + s.size()) {}
  bool done() const { return p_ == end_; }

  bool varint(uint64_t& v) {
    v = 0;
    for (int shift = 0; shift < 64 && p_ < end_; shift += 7) {
      auto b = static_cast<uint8_t>(*p_++);
      v |= static_cast<uint64_t>(b & 0x7F) << shift;
      if (b < 0x80) return true;
    }
    return false;
  }
  bool fixed(size_t n, uint64_t& v) {
    if (static_cast<size_t>(end_ - p_) < n) return false;
    v = 0;
    std::memcpy(&v, p_, n);
    p_ += n;
    return true;
  }
  bool bytes(std::string_view& s) {
    uint64_t n;
    if (!varint(n) || n > static_cast<uint64_t>(end_ - p_)) return false;
    s = {p_, static_cast<size_t>(n)};
    p_ += n;
    return true;
  }
  bool tag(uint32_t& number, uint32_t& wire) {
    uint64_t v;
    if (!varint(v) || v >> 3 == 0 || v >> 3 > 0x1FFFFFFF) return false;
    number = static_cast<uint32_t>(v >> 3);
    wire = static_cast<uint32_t>(v & 7);
    return true;
  }
  bool skip(uint32_t wire) {
    uint64_t v;
    std::string_view s;
    switch (wire) {
      case 0: return varint(v);
      case 1: return fixed(8, v);
      case 2: return bytes(s);
      case 5: return fixed(4, v);
      default: return false;  // groups are in none of the contracts
    }
  }

 private:
  const char* p_;
  const char* end_;
};

bool isNumber(Kind k) { return k <= Kind::kDouble; }

void store(void* p, Kind kind, uint64_t v) {
  switch (kind) {
    case Kind::kBool: *static_cast<bool*>(p) = v != 0; break;
    case Kind::kInt32:
    case Kind::kUint32: *static_cast<uint32_t*>(p) = static_cast<uint32_t>(v); break;
    case Kind::kInt64:
    case Kind::kUint64: *static_cast<uint64_t*>(p) = v; break;
    case Kind::kDouble: *static_cast<double*>(p) = std::bit_cast<double>(v); break;
    default: break;
  }
}

bool number(Reader& in, Kind kind, void* p, uint32_t wire) {
  uint64_t v;
  if (kind == Kind::kDouble) {
    if (wire != 1 || !in.fixed(8, v)) return false;
  } else if (wire != 0 || !in.varint(v)) {
    return false;
  }
  store(p, kind, v);
  return true;
}

bool message(std::string_view bytes, void* p, const TypeInfo& t, int depth);

// {1: seconds, 2: nanos}
bool instant(std::string_view s, int64_t& seconds, int32_t& nanos) {
  Reader in(s);
  uint32_t tag, wire;
  while (!in.done()) {
    uint64_t v;
    if (!in.tag(tag, wire)) return false;
    if (wire != 0 || tag > 2) {
      if (!in.skip(wire)) return false;
      continue;
    }
    if (!in.varint(v)) return false;
    if (tag == 1) seconds = static_cast<int64_t>(v);
    if (tag == 2) nanos = static_cast<int32_t>(v);
  }
  return true;
}

bool intOrString(std::string_view s, IntOrString& out) {
  Reader in(s);
  uint32_t tag, wire;
  while (!in.done()) {
    uint64_t v;
    std::string_view text;
    if (!in.tag(tag, wire)) return false;
    if (wire == 0) {
      if (!in.varint(v)) return false;
      if (tag == 1) out.isString = v == 1;
      if (tag == 2) out.number = static_cast<int32_t>(v);
    } else if (wire == 2 && tag == 3) {
      if (!in.bytes(text)) return false;
      out.text = text;
    } else if (!in.skip(wire)) {
      return false;
    }
  }
  return true;
}

// The bytes of field 1 of a small message.
bool firstField(std::string_view s, std::string_view& out) {
  Reader in(s);
  uint32_t tag, wire;
  while (!in.done()) {
    if (!in.tag(tag, wire)) return false;
    if (tag == 1 && wire == 2) {
      if (!in.bytes(out)) return false;
    } else if (!in.skip(wire)) {
      return false;
    }
  }
  return true;
}

bool duration(std::string_view s, int64_t& nanos) {
  int32_t unused = 0;
  return instant(s, nanos, unused);
}

// A value that stands in a length-delimited field.
bool delimited(std::string_view s, void* p, Kind kind, const TypeInfo* type, int depth) {
  std::string_view inner;
  switch (kind) {
    case Kind::kString:
    case Kind::kBytes:
      static_cast<String*>(p)->assign(s);
      return true;
    case Kind::kQuantity: {
      if (!firstField(s, inner)) return false;
      if (inner.empty()) return true;
      auto q = Quantity::parse(inner);
      if (!q.ok()) return false;
      *static_cast<Quantity*>(p) = *q;
      return true;
    }
    case Kind::kTime: {
      auto& t = *static_cast<Time*>(p);
      t.set = !s.empty();
      if (!instant(s, t.seconds, t.nanos)) return false;
      t.nanos = 0;
      return true;
    }
    case Kind::kMicroTime: {
      auto& t = *static_cast<MicroTime*>(p);
      t.set = !s.empty();
      return instant(s, t.seconds, t.nanos);
    }
    case Kind::kDuration:
      return duration(s, static_cast<GoDuration*>(p)->nanos);
    case Kind::kIntOrString:
      return intOrString(s, *static_cast<IntOrString*>(p));
    case Kind::kRawJson:
      if (!firstField(s, inner)) return false;
      static_cast<RawJson*>(p)->text = inner;
      return true;
    case Kind::kMessage:
      return message(s, p, *type, depth + 1);
    default:
      return false;
  }
}

bool value(Reader& in, void* p, const Field& f, uint32_t wire, int depth) {
  if (isNumber(f.kind)) return number(in, f.kind, p, wire);
  std::string_view s;
  return wire == 2 && in.bytes(s) && delimited(s, p, f.kind, f.type, depth);
}

bool mapEntry(std::string_view s, ListBase& map, const Field& f, int depth) {
  // The key mostly comes first; where it does not, read it ahead.
  std::string_view key;
  Reader ahead(s);
  uint32_t tag, wire;
  while (!ahead.done()) {
    if (!ahead.tag(tag, wire)) return false;
    if (tag == 1 && wire == 2) {
      if (!ahead.bytes(key)) return false;
    } else if (!ahead.skip(wire)) {
      return false;
    }
  }
  Elem elem = elemOf(f);
  uint32_t stride = mapEntrySize(elem.size);
  bool found;
  uint32_t i = mapFind(map, stride, key, &found);
  if (found) eraseMapEntry(map, i, elem, stride);
  char* e = static_cast<char*>(map.insert(i, stride));
  reinterpret_cast<String*>(e)->assign(key);
  Reader in(s);
  while (!in.done()) {
    if (!in.tag(tag, wire)) return false;
    if (tag == 2) {
      if (!value(in, e + sizeof(String), f, wire, depth)) return false;
    } else if (!in.skip(wire)) {
      return false;
    }
  }
  return true;
}

bool optional(Reader& in, void* p, const Field& f, uint32_t wire, int depth) {
  if (f.kind == Kind::kMessage) {
    void*& box = *static_cast<void**>(p);
    if (box == nullptr) box = boxNew(*f.type);
    return value(in, box, f, wire, depth);
  }
  return withOptional(p, f.kind, [&](auto& o) { return value(in, &o.emplace(), f, wire, depth); });
}

bool listElement(Reader& in, ListBase& list, const Field& f, uint32_t wire, int depth) {
  uint32_t size = sizeOf(f.kind, f.type);
  if (!isNumber(f.kind) || wire != 2) return value(in, list.append(size), f, wire, depth);
  std::string_view packed;
  if (!in.bytes(packed)) return false;
  Reader each(packed);
  while (!each.done()) {
    if (!number(each, f.kind, list.append(size), f.kind == Kind::kDouble ? 1 : 0)) return false;
  }
  return true;
}

bool message(std::string_view bytes, void* p, const TypeInfo& t, int depth) {
  if (depth > kMaxDepth) return false;
  Reader in(bytes);
  const Field* end = t.wire + t.wireCount;
  const Field* next = t.wire;
  uint32_t tag, wire;
  while (!in.done()) {
    if (!in.tag(tag, wire)) return false;
    // Fields come in ascending order: look from where the last one stood.
    const Field* f = next;
    while (f != end && f->tag != tag) f++;
    if (f == end) {
      for (f = t.wire; f != next && f->tag != tag;) f++;
      if (f == next) {
        if (!in.skip(wire)) return false;
        continue;
      }
    }
    next = f;
    void* q = at(p, *f);
    bool ok = false;
    switch (f->shape) {
      case Shape::kPlain: ok = value(in, q, *f, wire, depth); break;
      case Shape::kOpt: ok = optional(in, q, *f, wire, depth); break;
      case Shape::kList: ok = listElement(in, *static_cast<ListBase*>(q), *f, wire, depth); break;
      case Shape::kMap: {
        std::string_view s;
        ok = wire == 2 && in.bytes(s) && mapEntry(s, *static_cast<ListBase*>(q), *f, depth);
        break;
      }
    }
    if (!ok) return false;
  }
  return true;
}

}  // namespace

Status decodeProto(std::string_view bytes, void* object, const TypeInfo& t) {
  if (message(bytes, object, t, 0)) return {};
  return errors::badRequest(fmt::format("proto: {}: malformed message", t.name));
}

Result<Envelope> openEnvelope(std::string_view bytes) {
  if (bytes.substr(0, kProtoMagic.size()) != kProtoMagic) {
    return errors::badRequest("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]");
  }
  Envelope out;
  Reader in(bytes.substr(kProtoMagic.size()));
  uint32_t tag, wire;
  std::string_view meta;
  while (!in.done()) {
    std::string_view s;
    if (!in.tag(tag, wire)) return errors::badRequest("proto: Unknown: malformed message");
    if (wire != 2) {
      if (!in.skip(wire)) return errors::badRequest("proto: Unknown: malformed message");
      continue;
    }
    if (!in.bytes(s)) return errors::badRequest("unexpected EOF");
    if (tag == 1) meta = s;
    if (tag == 2) out.raw = s;
    if (tag == 4) out.contentType = s;
  }
  Reader types(meta);
  while (!types.done()) {
    std::string_view s;
    if (!types.tag(tag, wire) || wire != 2 || !types.bytes(s)) return errors::badRequest("proto: TypeMeta: malformed message");
    if (tag == 1) out.apiVersion = s;
    if (tag == 2) out.kind = s;
  }
  return out;
}

}  // namespace km::codec
