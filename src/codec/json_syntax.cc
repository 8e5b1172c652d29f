// checkJsonSyntax: what Go's encoding/json scanner says about a text, word for word.
#include <fmt/format.h>

#include "codec/json.h"
#include "codec/json_scan.h"

namespace km::codec {
namespace {

// The byte as Go's quoteChar prints it.
std::string quoteChar(unsigned char c) {
  if (c == '\'') return R"('\'')";
  if (c == '"') return "'\"'";
  switch (c) {
    case '\n': return R"('\n')";
    case '\r': return R"('\r')";
    case '\t': return R"('\t')";
    case '\\': return R"('\\')";
    case '\a': return R"('\a')";
    case '\b': return R"('\b')";
    case '\f': return R"('\f')";
    case '\v': return R"('\v')";
    default: break;
  }
  if (c < 0x20 || c == 0x7f) return fmt::format("'\\x{:02x}'", c);
  if (c < 0x80) return fmt::format("'{}'", static_cast<char>(c));
  // Go turns the byte into the rune of that number.
  std::string s = "'";
  s += static_cast<char>(0xC0 | (c >> 6));
  s += static_cast<char>(0x80 | (c & 0x3F));
  return c < 0xA0 ? fmt::format("'\\u{:04x}'", c) : s + "'";
}

class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  Status run() {
    if (!value("looking for beginning of value")) return error_;
    space();
    if (i_ < text_.size()) fail("after top-level value");
    return error_;
  }

 private:
  bool fail(std::string_view where) {
    if (i_ >= text_.size()) {
      error_ = errors::badRequest("unexpected end of JSON input");
    } else {
      error_ = errors::badRequest(
          fmt::format("invalid character {} {}", quoteChar(static_cast<unsigned char>(text_[i_])), where));
    }
    return false;
  }
  void space() {
    while (i_ < text_.size() && (text_[i_] == ' ' || text_[i_] == '\n' || text_[i_] == '\t' || text_[i_] == '\r')) i_++;
  }
  char now() const { return i_ < text_.size() ? text_[i_] : 0; }

  // One value; nesting is kept in a list, not on the stack.
  bool value(std::string_view where) {
    std::string open;
    for (;;) {
      space();
      bool done = true;
      char c = now();
      if (i_ >= text_.size()) return fail(where);
      if (c == '{' || c == '[') {
        i_++;
        open += c;
        if (open.size() > kMaxJsonDepth) {
          error_ = errors::badRequest("exceeded max depth");
          return false;
        }
        space();
        if (now() == (c == '{' ? '}' : ']')) {
          i_++;
          open.pop_back();
        } else {
          if (c == '{' && !key("looking for beginning of object key string")) return false;
          done = false;
        }
      } else if (!scalar(where)) {
        return false;
      }
      where = "looking for beginning of value";
      if (!done) continue;
      if (!behind(open)) return false;
      if (open.empty()) return true;
    }
  }

  // Behind a value: closes brackets; returns with `open` as it is if another value follows.
  bool behind(std::string& open) {
    while (!open.empty()) {
      space();
      char c = now();
      bool object = open.back() == '{';
      if (i_ < text_.size() && c == (object ? '}' : ']')) {
        i_++;
        open.pop_back();
        continue;
      }
      if (i_ >= text_.size() || c != ',') return fail(object ? "after object key:value pair" : "after array element");
      i_++;
      return !object || key("looking for beginning of object key string");
    }
    return true;
  }

  bool key(std::string_view where) {
    space();
    if (i_ >= text_.size() || now() != '"') return fail(where);
    if (!string()) return false;
    space();
    if (i_ >= text_.size() || now() != ':') return fail("after object key");
    i_++;
    return true;
  }

  bool string() {
    i_++;
    while (i_ < text_.size()) {
      auto c = static_cast<unsigned char>(text_[i_]);
      if (c == '"') {
        i_++;
        return true;
      }
      if (c < 0x20) return fail("in string literal");
      i_++;
      if (c != '\\') continue;
      if (i_ >= text_.size()) return fail("");
      char e = text_[i_];
      if (std::string_view("bfnrt\\/\"u").find(e) == std::string_view::npos) return fail("in string escape code");
      i_++;
      for (int n = 0; e == 'u' && n < 4; n++, i_++) {
        if (i_ >= text_.size() || isxdigit(static_cast<unsigned char>(text_[i_])) == 0) {
          return fail("in \\u hexadecimal character escape");
        }
      }
    }
    return fail("");
  }

  bool word(std::string_view w) {
    for (size_t n = 0; n < w.size(); n++, i_++) {
      if (i_ >= text_.size() || text_[i_] != w[n]) {
        return fail(fmt::format("in literal {} (expecting {})", w, quoteChar(static_cast<unsigned char>(w[n]))));
      }
    }
    return true;
  }

  bool isDigit() const { return i_ < text_.size() && text_[i_] >= '0' && text_[i_] <= '9'; }
  void digits() {
    while (isDigit()) i_++;
  }

  bool scalar(std::string_view where) {
    char c = now();
    if (c == '"') return string();
    if (c == 't') return word("true");
    if (c == 'f') return word("false");
    if (c == 'n') return word("null");
    if (c != '-' && !isDigit()) return fail(where);
    if (c == '-') {
      i_++;
      if (!isDigit()) return fail("in numeric literal");
    }
    if (now() == '0') {
      i_++;
    } else {
      digits();
    }
    if (now() == '.') {
      i_++;
      if (!isDigit()) return fail("after decimal point in numeric literal");
      digits();
    }
    if (now() == 'e' || now() == 'E') {
      i_++;
      if (now() == '+' || now() == '-') i_++;
      if (!isDigit()) return fail("in exponent of numeric literal");
      digits();
    }
    return true;
  }

  std::string_view text_;
  size_t i_ = 0;
  Status error_;
};

}  // namespace

Status checkJsonSyntax(std::string_view text) { return Scanner(text).run(); }

Result<TypeMeta> peekTypeMeta(std::string_view text) {
  JsonScan scan(text);
  TypeMeta meta;
  auto bad = [&]() -> Status {
    if (Status s = checkJsonSyntax(text); !s.ok()) return s;
    return errors::badRequest("json: cannot unmarshal into Go value of type struct { APIVersion string; Kind string }");
  };
  if (!scan.take('{')) {
    KM_TRY(checkJsonSyntax(text));
    const char* what = scan.peek() == '[' ? "array" : scan.peek() == '"' ? "string" : scan.peek() == 't' || scan.peek() == 'f' ? "bool" : "number";
    if (scan.peek() == 'n') return meta;
    return errors::badRequest(fmt::format(
        "json: cannot unmarshal {} into Go value of type struct {{ APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; "
        "Kind string \"json:\\\"kind,omitempty\\\"\" }}", what));
  }
  if (scan.take('}')) return meta;
  std::string keyBuffer, buffer;
  do {
    std::string_view key, value;
    if (!scan.readString(key, keyBuffer) || !scan.take(':')) return bad();
    bool wanted = key == "apiVersion" || key == "kind";
    if (wanted && scan.peek() == '"') {
      if (!scan.readString(value, buffer)) return bad();
      (key == "kind" ? meta.kind : meta.apiVersion) = value;
    } else {
      char first = scan.peek();
      if (!scan.skipValue(value)) return bad();
      if (wanted && first != 'n') {
        const char* what = first == '{' ? "object" : first == '[' ? "array" : first == 't' || first == 'f' ? "bool" : "number";
        return errors::badRequest(fmt::format("json: cannot unmarshal {} into Go struct field .{} of type string", what, key));
      }
    }
  } while (scan.take(','));
  if (!scan.take('}') || !scan.atEnd()) return bad();
  return meta;
}

}  // namespace km::codec
