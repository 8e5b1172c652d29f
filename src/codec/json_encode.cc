#include <charconv>
#include <cmath>
#include <cstring>

#include "base/base64.h"
#include "codec/json.h"
#include "codec/list.h"
#include "codec/ops.h"
#include "codec/optional.h"

namespace km::codec {
namespace {

constexpr char kHex[] = "0123456789abcdef";

// 1 where a byte of a string can be copied as it is.
struct PlainBytes {
  bool plain[256] = {};
  constexpr PlainBytes() {
    for (int c = 0x20; c < 0x80; c++) plain[c] = c != '"' && c != '\\' && c != '<' && c != '>' && c != '&';
  }
};
constexpr PlainBytes kPlainBytes;

// Length of the valid UTF-8 sequence at s, or 0.
size_t utf8Length(const unsigned char* s, const unsigned char* end) {
  auto rest = [&](int i) { return s + i < end && (s[i] & 0xC0) == 0x80; };
  unsigned char c = s[0];
  if (c >= 0xC2 && c <= 0xDF) return rest(1) ? 2 : 0;
  if (c >= 0xE0 && c <= 0xEF) {
    if (!rest(1) || !rest(2)) return 0;
    if ((c == 0xE0 && s[1] < 0xA0) || (c == 0xED && s[1] > 0x9F)) return 0;
    return 3;
  }
  if (c >= 0xF0 && c <= 0xF4) {
    if (!rest(1) || !rest(2) || !rest(3)) return 0;
    if ((c == 0xF0 && s[1] < 0x90) || (c == 0xF4 && s[1] > 0x8F)) return 0;
    return 4;
  }
  return 0;
}

// Appends one character that is not plain; returns how many bytes of the input it took.
size_t appendEscaped(std::string& out, const unsigned char* s, const unsigned char* end) {
  unsigned char c = *s;
  switch (c) {
    case '"': out += "\\\""; return 1;
    case '\\': out += "\\\\"; return 1;
    case '\n': out += "\\n"; return 1;
    case '\r': out += "\\r"; return 1;
    case '\t': out += "\\t"; return 1;
    case '\b': out += "\\b"; return 1;
    case '\f': out += "\\f"; return 1;
    default: break;
  }
  if (c < 0x80) {
    out += "\\u00";
    out += kHex[c >> 4];
    out += kHex[c & 15];
    return 1;
  }
  size_t n = utf8Length(s, end);
  if (n == 0) {
    out += "\\ufffd";
    return 1;
  }
  if (n == 3 && s[0] == 0xE2 && s[1] == 0x80 && (s[2] == 0xA8 || s[2] == 0xA9)) {
    out += s[2] == 0xA8 ? "\\u2028" : "\\u2029";
    return 3;
  }
  out.append(reinterpret_cast<const char*>(s), n);
  return n;
}

template <typename I>
void appendInt(std::string& out, I v) {
  char buf[24];
  auto r = std::to_chars(buf, buf + sizeof buf, v);
  out.append(buf, r.ptr);
}

void appendKey(std::string& out, std::string_view key) {
  char text[128];
  if (key.size() + 3 > sizeof text) {
    out.append("\"").append(key).append("\":");
    return;
  }
  text[0] = '"';
  memcpy(text + 1, key.data(), key.size());
  text[key.size() + 1] = '"';
  text[key.size() + 2] = ':';
  out.append(text, key.size() + 3);
}

class Encoder {
 public:
  explicit Encoder(std::string& out) : out_(out) {}

  void object(const void* p, const TypeInfo& t, std::string_view apiVersion) {
    switch (t.form) {
      case Form::kObject:
        break;
      case Form::kTransparent:
        return field(p, t.fields[0]);
      case Form::kOrArray:
      case Form::kOrStringArray: {
        // The list where there is one, else the schema.
        const Field& schema = t.fields[0];
        const Field& list = t.fields[1];
        if (!isEmptyField(p, list)) return field(p, list);
        if (!isEmptyField(p, schema)) return field(p, schema);
        out_ += "null";
        return;
      }
      case Form::kOrBool: {
        const Field* schema = t.find("schema");
        if (!isEmptyField(p, *schema)) return field(p, *schema);
        out_ += *static_cast<const bool*>(at(p, *t.find("allows"))) ? "true" : "false";
        return;
      }
    }
    out_ += '{';
    if (!apiVersion.empty() && (t.flags & kHasTypeMeta) != 0) {
      out_ += "\"kind\":\"";
      out_ += t.name;
      out_ += "\",\"apiVersion\":\"";
      out_ += apiVersion;
      out_ += "\",";
    }
    for (const Field& f : t) {
      if ((f.flags & kOmitEmpty) != 0 && omitted(p, f)) continue;
      if ((f.flags & kOmitZero) != 0 && isEmptyField(p, f)) continue;
      appendKey(out_, f.name);
      field(p, f);
      out_ += ',';
    }
    if (out_.back() == ',') out_.pop_back();
    out_ += '}';
  }

 private:
  // omitempty as encoding/json has it: it never leaves out a struct held by value.
  static bool omitted(const void* object, const Field& f) {
    if (f.shape != Shape::kPlain) return isEmptyField(object, f);
    switch (f.kind) {
      case Kind::kMessage:
        return f.type->form == Form::kTransparent && isEmptyField(object, f);
      case Kind::kQuantity:
      case Kind::kTime:
      case Kind::kMicroTime:
      case Kind::kDuration:
      case Kind::kIntOrString:
      case Kind::kRawJson:
        return false;
      default:
        return isEmptyField(object, f);
    }
  }

  void field(const void* object, const Field& f) {
    const void* p = at(object, f);
    switch (f.shape) {
      case Shape::kPlain:
        value(p, f);
        break;
      case Shape::kOpt:
        optional(p, f);
        break;
      case Shape::kList: {
        const auto& list = *static_cast<const ListBase*>(p);
        if (list.size_ == 0) {
          out_ += "null";
          break;
        }
        uint32_t size = sizeOf(f.kind, f.type);
        out_ += '[';
        for (uint32_t i = 0; i < list.size_; i++) {
          if (i != 0) out_ += ',';
          value(static_cast<const char*>(list.data_) + static_cast<size_t>(i) * size, f);
        }
        out_ += ']';
        break;
      }
      case Shape::kMap: {
        const auto& map = *static_cast<const ListBase*>(p);
        if (map.size_ == 0) {
          out_ += "null";
          break;
        }
        uint32_t stride = mapEntrySize(sizeOf(f.kind, f.type));
        out_ += '{';
        for (uint32_t i = 0; i < map.size_; i++) {
          if (i != 0) out_ += ',';
          const char* e = static_cast<const char*>(map.data_) + static_cast<size_t>(i) * stride;
          appendJsonString(out_, *reinterpret_cast<const String*>(e));
          out_ += ':';
          value(e + sizeof(String), f);
        }
        out_ += '}';
        break;
      }
    }
  }

  void optional(const void* p, const Field& f) {
    if (f.kind == Kind::kMessage) {
      const void* box = *static_cast<void* const*>(p);
      if (box == nullptr) {
        out_ += "null";
      } else {
        value(box, f);
      }
      return;
    }
    withOptional(p, f.kind, [&](auto& o) {
      if (o.has_value()) {
        value(&*o, f);
      } else {
        out_ += "null";
      }
    });
  }

  void value(const void* p, const Field& f) {
    switch (f.kind) {
      case Kind::kBool: out_ += *static_cast<const bool*>(p) ? "true" : "false"; break;
      case Kind::kInt32: appendInt(out_, *static_cast<const int32_t*>(p)); break;
      case Kind::kUint32: appendInt(out_, *static_cast<const uint32_t*>(p)); break;
      case Kind::kInt64: appendInt(out_, *static_cast<const int64_t*>(p)); break;
      case Kind::kUint64: appendInt(out_, *static_cast<const uint64_t*>(p)); break;
      case Kind::kDouble: appendJsonDouble(out_, *static_cast<const double*>(p)); break;
      case Kind::kString: appendJsonString(out_, *static_cast<const String*>(p)); break;
      case Kind::kBytes:
        out_ += '"';
        out_ += base64Encode(static_cast<const String*>(p)->view());
        out_ += '"';
        break;
      case Kind::kQuantity: quoted(static_cast<const Quantity*>(p)->str()); break;
      case Kind::kTime: {
        const auto& t = *static_cast<const Time*>(p);
        if (t.isZero()) {
          out_ += "null";
        } else {
          quoted(t.str());
        }
        break;
      }
      case Kind::kMicroTime: {
        const auto& t = *static_cast<const MicroTime*>(p);
        if (t.isZero()) {
          out_ += "null";
        } else {
          quoted(t.str());
        }
        break;
      }
      case Kind::kDuration: quoted(static_cast<const GoDuration*>(p)->str()); break;
      case Kind::kIntOrString: {
        const auto& v = *static_cast<const IntOrString*>(p);
        if (v.isString) {
          appendJsonString(out_, v.text);
        } else {
          appendInt(out_, v.number);
        }
        break;
      }
      case Kind::kRawJson: {
        const auto& raw = *static_cast<const RawJson*>(p);
        if (raw.empty()) {
          out_ += "null";
        } else {
          appendCompactJson(out_, raw.text);
        }
        break;
      }
      case Kind::kMessage:
        object(p, *f.type, (f.flags & kTypeMeta) != 0 ? f.type->apiVersion : std::string_view());
        break;
    }
  }

  void quoted(std::string_view s) {
    out_ += '"';
    out_ += s;
    out_ += '"';
  }

  std::string& out_;
};

}  // namespace

void encodeJson(std::string& out, const void* object, const TypeInfo& t, std::string_view apiVersion) {
  Encoder(out).object(object, t, apiVersion);
}

void appendJsonString(std::string& out, std::string_view s) {
  out += '"';
  const auto* p = reinterpret_cast<const unsigned char*>(s.data());
  const auto* end = p + s.size();
  while (p < end) {
    const auto* run = p;
    while (p < end && kPlainBytes.plain[*p]) p++;
    out.append(reinterpret_cast<const char*>(run), static_cast<size_t>(p - run));
    if (p < end) p += appendEscaped(out, p, end);
  }
  out += '"';
}

void appendJsonDouble(std::string& out, double v) {
  if (!std::isfinite(v)) {
    out += "null";
    return;
  }
  char buf[40];
  double abs = std::fabs(v);
  bool scientific = abs != 0 && (abs < 1e-6 || abs >= 1e21);
  // Beyond 2^53 to_chars writes every digit of a fixed number; Go writes the shortest ones and zeros behind them.
  bool shortest = scientific || abs >= 9007199254740992.0;
  auto r = std::to_chars(buf, buf + sizeof buf, v, shortest ? std::chars_format::scientific : std::chars_format::fixed);
  std::string_view s(buf, static_cast<size_t>(r.ptr - buf));
  if (shortest && !scientific) {
    size_t e = s.find('e');
    size_t digits = 0;
    int exponent = 0;
    std::from_chars(s.data() + e + 2, r.ptr, exponent);
    for (char c : s.substr(0, e)) {
      if (c == '.') continue;
      out += c;
      if (c != '-') digits++;
    }
    out.append(static_cast<size_t>(exponent) + 1 - digits, '0');
    return;
  }
  // Go writes e-9, not e-09.
  if (scientific && s.size() >= 4 && s[s.size() - 4] == 'e' && s[s.size() - 3] == '-' && s[s.size() - 2] == '0') {
    out.append(s.substr(0, s.size() - 2));
    out += s.back();
    return;
  }
  out += s;
}

namespace {

// Whether JSON has nothing to leave out or to escape: field sets, which are most of what comes here, have not.
bool isCompact(std::string_view json) {
  for (char c : {' ', '\n', '\t', '\r', '<', '>', '&', '\xE2'}) {
    if (memchr(json.data(), c, json.size()) != nullptr) return false;
  }
  return true;
}

}  // namespace

void appendCompactJson(std::string& out, std::string_view json) {
  if (isCompact(json)) {
    out += json;
    return;
  }
  const auto* p = reinterpret_cast<const unsigned char*>(json.data());
  const auto* end = p + json.size();
  bool inString = false;
  for (; p < end; p++) {
    unsigned char c = *p;
    if (inString && c == '\\' && p + 1 < end) {
      out += static_cast<char>(c);
      out += static_cast<char>(*++p);
    } else if (c == '"') {
      inString = !inString;
      out += '"';
    } else if (!inString && (c == ' ' || c == '\n' || c == '\t' || c == '\r')) {
      continue;
    } else if (c == '<' || c == '>' || c == '&') {
      appendEscaped(out, p, end);
    } else if (c == 0xE2 && p + 2 < end && p[1] == 0x80 && (p[2] == 0xA8 || p[2] == 0xA9)) {
      p += appendEscaped(out, p, end) - 1;
    } else {
      out += static_cast<char>(c);
    }
  }
}

std::string prettyJson(std::string_view json) {
  std::string out;
  out.reserve(json.size() * 2);
  size_t depth = 0;
  auto newline = [&] {
    out += '\n';
    out.append(depth * 2, ' ');
  };
  bool inString = false;
  for (size_t i = 0; i < json.size(); i++) {
    char c = json[i];
    if (inString) {
      out += c;
      if (c == '\\') {
        out += json[++i];
      } else if (c == '"') {
        inString = false;
      }
      continue;
    }
    switch (c) {
      case ' ':
      case '\n':
      case '\t':
      case '\r':
        break;
      case '"':
        inString = true;
        out += c;
        break;
      case '{':
      case '[':
        out += c;
        if (i + 1 < json.size() && (json[i + 1] == '}' || json[i + 1] == ']')) {
          out += json[++i];
        } else {
          depth++;
          newline();
        }
        break;
      case '}':
      case ']':
        depth--;
        newline();
        out += c;
        break;
      case ',':
        out += c;
        newline();
        break;
      case ':':
        out += ": ";
        break;
      default:
        out += c;
    }
  }
  return out;
}

}  // namespace km::codec
