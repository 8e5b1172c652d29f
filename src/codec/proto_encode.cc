#include <bit>
#include <memory>

#include "codec/list.h"
#include "codec/ops.h"
#include "codec/proto.h"

namespace km::codec {
namespace {

enum Wire : uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2 };

// Writes from the end of a buffer to its start: a message's length is known once its content stands behind it.
class Backward {
 public:
  Backward() : buf_(new char[kFirst]), capacity_(kFirst), pos_(kFirst) {}

  size_t mark() const { return capacity_ - pos_; }  // bytes written so far
  std::string_view view() const { return {buf_.get() + pos_, capacity_ - pos_}; }

  void byte(uint8_t b) {
    room(1);
    buf_[--pos_] = static_cast<char>(b);
  }
  void bytes(std::string_view s) {
    room(s.size());
    pos_ -= s.size();
    std::memcpy(buf_.get() + pos_, s.data(), s.size());
  }
  void varint(uint64_t v) {
    char tmp[10];
    int n = 0;
    do {
      tmp[n++] = static_cast<char>((v & 0x7F) | (v > 0x7F ? 0x80 : 0));
      v >>= 7;
    } while (v != 0);
    bytes({tmp, static_cast<size_t>(n)});
  }
  void fixed64(uint64_t v) {
    char tmp[8];
    std::memcpy(tmp, &v, 8);
    bytes({tmp, 8});
  }
  void tag(uint32_t number, Wire wire) { varint(number << 3 | wire); }
  // Ends a length-delimited field whose content was written since `mark`.
  void wrap(uint32_t number, size_t mark) {
    varint(this->mark() - mark);
    tag(number, kBytes);
  }

 private:
  static constexpr size_t kFirst = 2048;

  void room(size_t n) {
    if (pos_ >= n) return;
    size_t used = capacity_ - pos_;
    size_t capacity = std::max(capacity_ * 2, used + n);
    std::unique_ptr<char[]> bigger(new char[capacity]);
    std::memcpy(bigger.get() + capacity - used, buf_.get() + pos_, used);
    buf_ = std::move(bigger);
    pos_ = capacity - used;
    capacity_ = capacity;
  }

  std::unique_ptr<char[]> buf_;
  size_t capacity_;
  size_t pos_;
};

class Encoder {
 public:
  explicit Encoder(Backward& out) : out_(out) {}

  void message(const void* p, const TypeInfo& t) {
    bool proto3 = (t.flags & kProto3) != 0;
    for (size_t i = t.wireCount; i-- > 0;) {
      const Field& f = t.wire[i];
      if (f.tag != 0) field(p, f, proto3);
    }
  }

 private:
  static Wire wireOf(Kind k) {
    switch (k) {
      case Kind::kBool:
      case Kind::kInt32:
      case Kind::kInt64:
      case Kind::kUint32:
      case Kind::kUint64: return kVarint;
      case Kind::kDouble: return kFixed64;
      default: return kBytes;
    }
  }

  void field(const void* object, const Field& f, bool proto3) {
    const void* p = at(object, f);
    switch (f.shape) {
      case Shape::kPlain:
        if (proto3 && f.kind != Kind::kMessage && isEmptyField(object, f)) return;
        // []byte, and a pointer to raw JSON, are there only where set.
        if (f.kind == Kind::kBytes && static_cast<const String*>(p)->empty()) return;
        if (f.kind == Kind::kRawJson && (f.flags & kOmitZero) != 0 && static_cast<const String*>(p)->empty()) return;
        value(p, f, f.tag);
        break;
      case Shape::kOpt:
        if (isEmptyField(object, f)) return;
        // An engaged optional starts with its value.
        value(f.kind == Kind::kMessage ? *static_cast<void* const*>(p) : p, f, f.tag);
        break;
      case Shape::kList: {
        const auto& list = *static_cast<const ListBase*>(p);
        uint32_t size = sizeOf(f.kind, f.type);
        bool packed = proto3 && wireOf(f.kind) != kBytes && list.size_ != 0;
        size_t mark = out_.mark();
        for (uint32_t i = list.size_; i-- > 0;) {
          const void* e = static_cast<const char*>(list.data_) + static_cast<size_t>(i) * size;
          if (packed) {
            scalar(e, f.kind);
          } else {
            value(e, f, f.tag);
          }
        }
        if (packed) out_.wrap(f.tag, mark);
        break;
      }
      case Shape::kMap: {
        const auto& map = *static_cast<const ListBase*>(p);
        uint32_t stride = mapEntrySize(sizeOf(f.kind, f.type));
        for (uint32_t i = map.size_; i-- > 0;) {
          const char* e = static_cast<const char*>(map.data_) + static_cast<size_t>(i) * stride;
          size_t mark = out_.mark();
          value(e + sizeof(String), f, 2);
          text(*reinterpret_cast<const String*>(e), 1);
          out_.wrap(f.tag, mark);
        }
        break;
      }
    }
  }

  void text(std::string_view s, uint32_t number) {
    out_.bytes(s);
    out_.varint(s.size());
    out_.tag(number, kBytes);
  }

  void scalar(const void* p, Kind kind) {
    switch (kind) {
      case Kind::kBool: out_.varint(*static_cast<const bool*>(p) ? 1 : 0); break;
      case Kind::kInt32: out_.varint(static_cast<uint64_t>(static_cast<int64_t>(*static_cast<const int32_t*>(p)))); break;
      case Kind::kUint32: out_.varint(*static_cast<const uint32_t*>(p)); break;
      case Kind::kInt64: out_.varint(static_cast<uint64_t>(*static_cast<const int64_t*>(p))); break;
      case Kind::kUint64: out_.varint(*static_cast<const uint64_t*>(p)); break;
      case Kind::kDouble: out_.fixed64(std::bit_cast<uint64_t>(*static_cast<const double*>(p))); break;
      default: break;
    }
  }

  void varintField(uint32_t number, int64_t v) {
    out_.varint(static_cast<uint64_t>(v));
    out_.tag(number, kVarint);
  }

  void value(const void* p, const Field& f, uint32_t number) {
    size_t mark = out_.mark();
    switch (f.kind) {
      case Kind::kString:
      case Kind::kBytes:
        text(*static_cast<const String*>(p), number);
        return;
      case Kind::kQuantity:
        text(static_cast<const Quantity*>(p)->str(), 1);
        break;
      case Kind::kTime: {
        const auto& t = *static_cast<const Time*>(p);
        if (!t.isZero()) {
          varintField(2, 0);
          varintField(1, t.seconds);
        }
        break;
      }
      case Kind::kMicroTime: {
        const auto& t = *static_cast<const MicroTime*>(p);
        if (!t.isZero()) {
          varintField(2, t.nanos);
          varintField(1, t.seconds);
        }
        break;
      }
      case Kind::kDuration:
        varintField(1, static_cast<const GoDuration*>(p)->nanos);
        break;
      case Kind::kIntOrString: {
        const auto& v = *static_cast<const IntOrString*>(p);
        text(v.text, 3);
        varintField(2, v.number);
        varintField(1, v.isString ? 1 : 0);
        break;
      }
      case Kind::kRawJson:
        if (const auto& raw = *static_cast<const RawJson*>(p); !raw.empty()) text(raw.text, 1);
        break;
      case Kind::kMessage:
        message(p, *f.type);
        break;
      default:
        scalar(p, f.kind);
        out_.tag(number, wireOf(f.kind));
        return;
    }
    out_.wrap(number, mark);
  }

  Backward& out_;
};

void appendVarint(std::string& out, uint64_t v) {
  while (v > 0x7F) {
    out += static_cast<char>(v | 0x80);
    v >>= 7;
  }
  out += static_cast<char>(v);
}

void appendText(std::string& out, uint32_t number, std::string_view s) {
  appendVarint(out, number << 3 | kBytes);
  appendVarint(out, s.size());
  out += s;
}

}  // namespace

void encodeProto(std::string& out, const void* object, const TypeInfo& t) {
  Backward buffer;
  Encoder(buffer).message(object, t);
  out += buffer.view();
}

void appendEnvelope(std::string& out, std::string_view apiVersion, std::string_view kind, std::string_view raw) {
  out += kProtoMagic;
  std::string meta;
  appendText(meta, 1, apiVersion);
  appendText(meta, 2, kind);
  appendText(out, 1, meta);
  appendText(out, 2, raw);
  appendText(out, 3, "");
  appendText(out, 4, "");
}

void encodeEnveloped(std::string& out, const void* object, const TypeInfo& t, std::string_view apiVersion) {
  Backward buffer;
  Encoder(buffer).message(object, t);
  out.reserve(out.size() + buffer.mark() + 64);
  appendEnvelope(out, apiVersion, t.name, buffer.view());
}

}  // namespace km::codec
