#include <fmt/format.h>

#include <bitset>
#include <charconv>

#include "base/base64.h"
#include "codec/json.h"
#include "codec/json_scan.h"
#include "codec/list.h"
#include "codec/ops.h"
#include "codec/optional.h"

namespace km::codec {
namespace {

constexpr int kMaxDepth = 1000;  // of typed nesting; upstream's types recurse only in JSONSchemaProps

std::string goTypeName(const Field& f) {
  std::string element;
  switch (f.kind) {
    case Kind::kBool: element = "bool"; break;
    case Kind::kInt32: element = "int32"; break;
    case Kind::kInt64: element = "int64"; break;
    case Kind::kUint32: element = "uint32"; break;
    case Kind::kUint64: element = "uint64"; break;
    case Kind::kDouble: element = "float64"; break;
    case Kind::kString: element = f.marks && f.marks->goType ? f.marks->goType : "string"; break;
    case Kind::kBytes: element = "[]uint8"; break;
    case Kind::kQuantity: element = "resource.Quantity"; break;
    case Kind::kTime: element = "v1.Time"; break;
    case Kind::kMicroTime: element = "v1.MicroTime"; break;
    case Kind::kDuration: element = "v1.Duration"; break;
    case Kind::kIntOrString: element = "intstr.IntOrString"; break;
    case Kind::kRawJson: element = "runtime.RawExtension"; break;
    case Kind::kMessage: {
      size_t slash = f.type->apiVersion.find('/');
      element = f.type->apiVersion.substr(slash == std::string_view::npos ? 0 : slash + 1);
      element += '.';
      element += f.type->name;
      break;
    }
  }
  if (f.shape == Shape::kList) return "[]" + element;
  if (f.shape == Shape::kMap) return "map[string]" + element;
  return element;
}

const char* valueName(char first) {
  switch (first) {
    case '{': return "object";
    case '[': return "array";
    case '"': return "string";
    case 't':
    case 'f': return "bool";
    default: return "number";
  }
}

class Decoder {
 public:
  Decoder(std::string_view text, StrictErrors* strict, TypeMeta* meta)
      : scan_(text), text_(text), strict_(strict), meta_(meta) {}

  Status run(void* object, const TypeInfo& t) {
    bool ok = message(object, t, true) && scan_.atEnd();
    if (ok) return {};
    if (Status syntax = checkJsonSyntax(text_); !syntax.ok()) return syntax;
    if (error_.ok()) error_ = errors::badRequest("json: the document could not be read");
    return error_;
  }

 private:
  // One step of the path to the value being read.
  struct Step {
    std::string_view name;
    int64_t index = -1;   // of a list; else -1
    bool mapKey = false;  // name is a key of a map
  };

  std::string path(std::string_view last) const {
    std::string out;
    for (const Step& s : path_) {
      if (s.index >= 0) {
        out += fmt::format("[{}]", s.index);
      } else {
        if (!out.empty()) out += '.';
        out += s.name;
      }
    }
    if (!last.empty()) {
      if (!out.empty()) out += '.';
      out += last;
    }
    return out;
  }

  // Names of struct fields only: how Go's decoder prints where it was.
  std::string goPath() const {
    std::string out;
    for (const Step& s : path_) {
      if (s.index >= 0 || s.mapKey) continue;
      if (!out.empty()) out += '.';
      out += s.name;
    }
    return out;
  }

  bool fail(Status s) {
    if (error_.ok()) error_ = std::move(s);
    return false;
  }

  bool mismatch(std::string_view what, std::string_view type) {
    std::string where = goPath();
    if (where.empty()) {
      return fail(errors::badRequest(fmt::format("json: cannot unmarshal {} into Go value of type {}", what, type)));
    }
    return fail(errors::badRequest(fmt::format("json: cannot unmarshal {} into Go struct field {}.{} of type {}", what,
                                               owner_ ? owner_->name : std::string_view(), where, type)));
  }

  bool message(void* p, const TypeInfo& t, bool top = false) {
    if (path_.size() > kMaxDepth) return fail(errors::badRequest("exceeded max depth"));
    char c = scan_.peek();
    switch (t.form) {
      case Form::kObject:
        break;
      case Form::kTransparent:
        return field(p, t.fields[0]);
      case Form::kOrArray:
      case Form::kOrStringArray:
        return field(p, c == '[' ? t.fields[1] : t.fields[0]);
      case Form::kOrBool: {
        bool& allows = *static_cast<bool*>(at(p, *t.find("allows")));
        if (c == 't' || c == 'f') {
          allows = c == 't';
          return scan_.takeWord(allows ? "true" : "false");
        }
        allows = true;
        return field(p, *t.find("schema"));
      }
    }
    if (c == 'n') return scan_.takeWord("null");
    if (c != '{') {
      size_t slash = t.apiVersion.find('/');
      return mismatch(c == '-' || (c >= '0' && c <= '9') ? "number" : valueName(c),
                      fmt::format("{}.{}", t.apiVersion.substr(slash == std::string_view::npos ? 0 : slash + 1), t.name));
    }
    scan_.take('{');
    if (scan_.take('}')) return true;
    const TypeInfo* outer = std::exchange(owner_, &t);
    std::bitset<128> seen;  // no type has more fields; the two last bits are kind and apiVersion
    const Field* next = t.begin();
    std::string buffer;
    do {
      std::string_view key;
      if (!scan_.readString(key, buffer) || !scan_.take(':')) return false;
      // Fields mostly come in the order of the table.
      const Field* f = nullptr;
      for (const Field* g = next; g != t.end(); g++) {
        if (g->name == key) {
          f = g;
          break;
        }
      }
      if (f == nullptr) f = t.find(key);
      if (f == nullptr) {
        if (!unknown(key, t, top, seen)) return false;
        continue;
      }
      next = f + 1;
      auto bit = static_cast<size_t>(f - t.begin());
      if (seen.test(bit)) {
        if (strict_ != nullptr) strict_->errors.push_back(fmt::format("duplicate field \"{}\"", path(f->name)));
        destroyField(p, *f);
      }
      seen.set(bit);
      path_.push_back({f->name});
      if (!field(p, *f)) return false;
      path_.pop_back();
    } while (scan_.take(','));
    owner_ = outer;
    return scan_.take('}');
  }

  // A key without a field: kind and apiVersion, or one that nobody knows.
  bool unknown(std::string_view key, const TypeInfo& t, bool top, std::bitset<128>& seen) {
    std::string_view skipped;
    if ((t.flags & kHasTypeMeta) != 0 && (key == "kind" || key == "apiVersion")) {
      size_t bit = key == "kind" ? 126 : 127;
      if (seen.test(bit) && strict_ != nullptr) {
        strict_->errors.push_back(fmt::format("duplicate field \"{}\"", path(key)));
      }
      seen.set(bit);
      char c = scan_.peek();
      if (c == 'n') return scan_.takeWord("null");
      if (c != '"') {
        path_.push_back({key});
        return mismatch(valueName(c), "string");
      }
      std::string buffer;
      std::string_view value;
      bool isKind = key == "kind";
      if (!scan_.readString(value, buffer)) return false;
      if (top && meta_ != nullptr) (isKind ? meta_->kind : meta_->apiVersion) = value;
      return true;
    }
    if (strict_ != nullptr) strict_->errors.push_back(fmt::format("unknown field \"{}\"", path(key)));
    return scan_.skipValue(skipped);
  }

  bool field(void* object, const Field& f) {
    void* p = at(object, f);
    char c = scan_.peek();
    if (c == 'n' && !(f.kind == Kind::kRawJson && f.shape == Shape::kPlain)) {
      if (!scan_.takeWord("null")) return false;
      destroyField(object, f);
      return true;
    }
    switch (f.shape) {
      case Shape::kPlain:
        return value(p, f);
      case Shape::kOpt:
        return optional(p, f);
      case Shape::kList:
        return list(*static_cast<ListBase*>(p), f);
      case Shape::kMap:
        return map(*static_cast<ListBase*>(p), f);
    }
    return false;
  }

  bool optional(void* p, const Field& f) {
    if (f.kind == Kind::kMessage) {
      void*& box = *static_cast<void**>(p);
      if (box == nullptr) box = boxNew(*f.type);
      return value(box, f);
    }
    return withOptional(p, f.kind, [&](auto& o) { return value(&o.emplace(), f); });
  }

  bool list(ListBase& list, const Field& f) {
    char c = scan_.peek();
    if (c != '[') return mismatch(valueName(c), goTypeName(f));
    scan_.take('[');
    if (scan_.take(']')) return true;
    uint32_t size = sizeOf(f.kind, f.type);
    int64_t index = 0;
    do {
      path_.push_back({{}, index++});
      void* e = list.append(size);
      if (scan_.peek() == 'n' && f.kind != Kind::kRawJson) {
        if (!scan_.takeWord("null")) return false;
      } else if (!value(e, f)) {
        return false;
      }
      path_.pop_back();
    } while (scan_.take(','));
    return scan_.take(']');
  }

  bool map(ListBase& map, const Field& f) {
    char c = scan_.peek();
    if (c != '{') return mismatch(valueName(c), goTypeName(f));
    scan_.take('{');
    if (scan_.take('}')) return true;
    Elem elem = elemOf(f);
    uint32_t stride = mapEntrySize(elem.size);
    std::string buffer;
    do {
      std::string_view key;
      if (!scan_.readString(key, buffer) || !scan_.take(':')) return false;
      bool found;
      uint32_t i = mapFind(map, stride, key, &found);
      if (found) {
        if (strict_ != nullptr) strict_->errors.push_back(fmt::format("duplicate field \"{}\"", path(key)));
        eraseMapEntry(map, i, elem, stride);
      }
      char* e = static_cast<char*>(map.insert(i, stride));
      reinterpret_cast<String*>(e)->assign(key);
      path_.push_back({reinterpret_cast<String*>(e)->view(), -1, true});
      if (scan_.peek() == 'n' && f.kind != Kind::kRawJson) {
        if (!scan_.takeWord("null")) return false;
      } else if (!value(e + sizeof(String), f)) {
        return false;
      }
      path_.pop_back();
    } while (scan_.take(','));
    return scan_.take('}');
  }

  template <typename I>
  bool integer(void* p, const Field& f) {
    char c = scan_.peek();
    if (c != '-' && (c < '0' || c > '9')) return mismatch(valueName(c), plainName(f));
    std::string_view s;
    if (!scan_.readNumber(s)) return false;
    I v;
    auto r = std::from_chars(s.data(), s.data() + s.size(), v);
    if (r.ec != std::errc() || r.ptr != s.data() + s.size()) {
      return mismatch(fmt::format("number {}", s), plainName(f));
    }
    *static_cast<I*>(p) = v;
    return true;
  }

  static std::string plainName(const Field& f) {
    Field element = f;
    element.shape = Shape::kPlain;
    return goTypeName(element);
  }

  bool text(std::string_view& s, const Field& f) {
    char c = scan_.peek();
    if (c != '"') return mismatch(valueName(c), plainName(f));
    return scan_.readString(s, buffer_);
  }

  template <typename T>
  bool parsed(void* p, const Field& f, const char* what) {
    std::string_view s;
    if (scan_.peek() != '"') {
      return mismatch(valueName(scan_.peek()), what);
    }
    if (!text(s, f)) return false;
    auto r = T::parse(s);
    if (!r.ok()) return fail(r.status());
    *static_cast<T*>(p) = std::move(r).value();
    return true;
  }

  bool value(void* p, const Field& f) {
    std::string_view s;
    switch (f.kind) {
      case Kind::kBool: {
        char c = scan_.peek();
        if (c != 't' && c != 'f') return mismatch(valueName(c), plainName(f));
        *static_cast<bool*>(p) = c == 't';
        return scan_.takeWord(c == 't' ? "true" : "false");
      }
      case Kind::kInt32: return integer<int32_t>(p, f);
      case Kind::kUint32: return integer<uint32_t>(p, f);
      case Kind::kInt64: return integer<int64_t>(p, f);
      case Kind::kUint64: return integer<uint64_t>(p, f);
      case Kind::kDouble: {
        char c = scan_.peek();
        if (c != '-' && (c < '0' || c > '9')) return mismatch(valueName(c), plainName(f));
        if (!scan_.readNumber(s)) return false;
        std::from_chars(s.data(), s.data() + s.size(), *static_cast<double*>(p));
        return true;
      }
      case Kind::kString:
        if (!text(s, f)) return false;
        static_cast<String*>(p)->assign(s);
        return true;
      case Kind::kBytes: return bytes(*static_cast<String*>(p), f);
      case Kind::kQuantity: return quantity(*static_cast<Quantity*>(p), f);
      case Kind::kTime: return parsed<Time>(p, f, "string");
      case Kind::kMicroTime: return parsed<MicroTime>(p, f, "string");
      case Kind::kDuration: return parsed<GoDuration>(p, f, "string");
      case Kind::kIntOrString: {
        auto& v = *static_cast<IntOrString*>(p);
        v = IntOrString();
        if (scan_.peek() != '"') return integerOf(v, f);
        if (!text(s, f)) return false;
        v.isString = true;
        v.text = s;
        return true;
      }
      case Kind::kRawJson:
        if (!scan_.skipValue(s)) return false;
        if (s == "null") {
          static_cast<RawJson*>(p)->text.clear();
        } else {
          static_cast<RawJson*>(p)->text = withoutSpace(s);
        }
        return true;
      case Kind::kMessage:
        return message(p, *f.type);
    }
    return false;
  }

  bool integerOf(IntOrString& v, const Field& f) {
    char c = scan_.peek();
    if (c != '-' && (c < '0' || c > '9')) return mismatch(valueName(c), "int32");
    std::string_view s;
    if (!scan_.readNumber(s)) return false;
    auto r = std::from_chars(s.data(), s.data() + s.size(), v.number);
    if (r.ec != std::errc() || r.ptr != s.data() + s.size()) return mismatch(fmt::format("number {}", s), "int32");
    return true;
  }

  bool bytes(String& out, const Field& f) {
    std::string_view s;
    if (!text(s, f)) return false;
    auto decoded = base64Decode(s);
    if (!decoded) {
      // Go names the byte at which it gave up: the first that can be no part of the encoding.
      size_t at = s.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/\r\n");
      if (at == std::string_view::npos) at = s.size() / 4 * 4;
      return fail(errors::badRequest(fmt::format("illegal base64 data at input byte {}", at)));
    }
    out = *decoded;
    return true;
  }

  bool quantity(Quantity& q, const Field& f) {
    char c = scan_.peek();
    std::string_view s;
    if (c == '"') {
      if (!scan_.readString(s, buffer_)) return false;
    } else if (!scan_.skipValue(s)) {
      return false;
    }
    auto r = Quantity::parse(s);
    if (!r.ok()) return fail(r.status());
    q = *r;
    return true;
  }

  static std::string withoutSpace(std::string_view json) {
    std::string out;
    out.reserve(json.size());
    bool inString = false;
    for (size_t i = 0; i < json.size(); i++) {
      char c = json[i];
      if (inString && c == '\\') {
        out += c;
        out += json[++i];
        continue;
      }
      if (c == '"') inString = !inString;
      if (inString || (c != ' ' && c != '\n' && c != '\t' && c != '\r')) out += c;
    }
    return out;
  }

  JsonScan scan_;
  std::string_view text_;
  StrictErrors* strict_;
  TypeMeta* meta_;
  const TypeInfo* owner_ = nullptr;
  std::vector<Step> path_;
  std::string buffer_;
  Status error_;
};

}  // namespace

Status decodeJson(std::string_view text, void* object, const TypeInfo& t, StrictErrors* strict, TypeMeta* meta) {
  return Decoder(text, strict, meta).run(object, t);
}

}  // namespace km::codec
