#include <charconv>

#include "pki/detail/json.h"

namespace km::pki {
namespace {

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  bool document(Json& out) { return value(out, 0) && (blanks(), text_.empty()); }

 private:
  void blanks() {
    size_t n = text_.find_first_not_of(" \t\r\n");
    text_.remove_prefix(n == std::string_view::npos ? text_.size() : n);
  }
  bool take(std::string_view literal) {
    if (!text_.starts_with(literal)) return false;
    text_.remove_prefix(literal.size());
    return true;
  }
  bool takeAfterBlanks(std::string_view literal) {
    blanks();
    return take(literal);
  }

  bool value(Json& out, int depth) {
    blanks();
    if (depth > 32 || text_.empty()) return false;
    switch (text_[0]) {
      case '{':
        return object(out, depth);
      case '[':
        return array(out, depth);
      case '"':
        out.kind = Json::kString;
        return string(out.text);
      case 't':
        out.kind = Json::kBool;
        out.boolean = true;
        return take("true");
      case 'f':
        out.kind = Json::kBool;
        return take("false");
      case 'n':
        return take("null");
      default:
        out.kind = Json::kNumber;
        return number(out.number);
    }
  }

  bool object(Json& out, int depth) {
    out.kind = Json::kObject;
    take("{");
    if (takeAfterBlanks("}")) return true;
    do {
      std::string name;
      blanks();
      if (!string(name) || !takeAfterBlanks(":") || out.find(name)) return false;
      Json member;
      if (!value(member, depth + 1)) return false;
      out.names.push_back(std::move(name));
      out.items.push_back(std::move(member));
    } while (takeAfterBlanks(","));
    return take("}");
  }

  bool array(Json& out, int depth) {
    out.kind = Json::kArray;
    take("[");
    if (takeAfterBlanks("]")) return true;
    do {
      if (!value(out.items.emplace_back(), depth + 1)) return false;
    } while (takeAfterBlanks(","));
    return take("]");
  }

  bool number(double& out) {
    size_t n = 0;
    auto digits = [&] {
      size_t begin = n;
      while (n < text_.size() && text_[n] >= '0' && text_[n] <= '9') n++;
      return n > begin;
    };
    if (text_[n] == '-') n++;
    size_t first = n;
    if (!digits() || (text_[first] == '0' && n > first + 1)) return false;
    if (n < text_.size() && text_[n] == '.' && (n++, !digits())) return false;
    if (n < text_.size() && (text_[n] == 'e' || text_[n] == 'E')) {
      n++;
      if (n < text_.size() && (text_[n] == '+' || text_[n] == '-')) n++;
      if (!digits()) return false;
    }
    bool ok = std::from_chars(text_.data(), text_.data() + n, out).ec == std::errc();
    text_.remove_prefix(n);
    return ok;
  }

  bool hex4(uint32_t& out) {
    if (text_.size() < 4) return false;
    auto [end, err] = std::from_chars(text_.data(), text_.data() + 4, out, 16);
    if (err != std::errc() || end != text_.data() + 4) return false;
    text_.remove_prefix(4);
    return true;
  }

  static void appendUtf8(std::string& out, uint32_t c) {
    if (c < 0x80) {
      out += static_cast<char>(c);
    } else if (c < 0x800) {
      out += static_cast<char>(0xc0 | c >> 6);
      out += static_cast<char>(0x80 | (c & 63));
    } else if (c < 0x10000) {
      out += static_cast<char>(0xe0 | c >> 12);
      out += static_cast<char>(0x80 | (c >> 6 & 63));
      out += static_cast<char>(0x80 | (c & 63));
    } else {
      out += static_cast<char>(0xf0 | c >> 18);
      out += static_cast<char>(0x80 | (c >> 12 & 63));
      out += static_cast<char>(0x80 | (c >> 6 & 63));
      out += static_cast<char>(0x80 | (c & 63));
    }
  }

  bool unicodeEscape(std::string& out) {
    uint32_t c, low;
    if (!hex4(c)) return false;
    if (c >= 0xd800 && c < 0xdc00) {
      if (!take("\\u") || !hex4(low) || low < 0xdc00 || low > 0xdfff) return false;
      c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    } else if (c >= 0xdc00 && c < 0xe000) {
      return false;
    }
    appendUtf8(out, c);
    return true;
  }

  bool string(std::string& out) {
    if (!take("\"")) return false;
    while (!text_.empty()) {
      char c = text_[0];
      text_.remove_prefix(1);
      if (c == '"') return true;
      if (static_cast<uint8_t>(c) < 0x20) return false;
      if (c != '\\') {
        out += c;
        continue;
      }
      if (text_.empty()) return false;
      char e = text_[0];
      text_.remove_prefix(1);
      static constexpr std::string_view kLetters = "\"\\/bfnrt", kMeant = "\"\\/\b\f\n\r\t";
      if (size_t at = kLetters.find(e); at != std::string_view::npos) {
        out += kMeant[at];
      } else if (e != 'u' || !unicodeEscape(out)) {
        return false;
      }
    }
    return false;
  }

  std::string_view text_;
};

}  // namespace

const Json* Json::find(std::string_view name) const {
  for (size_t i = 0; i < names.size(); i++) {
    if (names[i] == name) return &items[i];
  }
  return nullptr;
}

std::string Json::stringAt(std::string_view name) const {
  const Json* value = find(name);
  return value && value->kind == kString ? value->text : std::string();
}

std::optional<int64_t> Json::integerAt(std::string_view name) const {
  const Json* value = find(name);
  if (!value || value->kind != kNumber || value->number < -9e18 || value->number > 9e18) return std::nullopt;
  return static_cast<int64_t>(value->number);
}

std::optional<Json> parseJson(std::string_view text) {
  Json out;
  if (!Parser(text).document(out)) return std::nullopt;
  return out;
}

void appendJsonString(std::string& out, std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  out += '"';
  for (size_t i = 0; i < text.size(); i++) {
    char c = text[i];
    auto u = static_cast<uint8_t>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n' || c == '\r' || c == '\t') {
      out += c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t";
    } else if (u < 0x20 || c == '<' || c == '>' || c == '&') {
      out += "\\u00";
      out += kHex[u >> 4];
      out += kHex[u & 15];
    } else if (text.substr(i, 3) == "\u2028" || text.substr(i, 3) == "\u2029") {
      out += text[i + 2] == '\xa8' ? "\\u2028" : "\\u2029";
      i += 2;
    } else {
      out += c;
    }
  }
  out += '"';
}

void JsonObject::begin(std::string_view name) {
  if (out_.size() > 1) out_ += ',';
  appendJsonString(out_, name);
  out_ += ':';
}

JsonObject& JsonObject::text(std::string_view name, std::string_view value) {
  begin(name);
  appendJsonString(out_, value);
  return *this;
}

JsonObject& JsonObject::integer(std::string_view name, int64_t value) {
  begin(name);
  out_ += std::to_string(value);
  return *this;
}

JsonObject& JsonObject::texts(std::string_view name, const std::vector<std::string>& values) {
  begin(name);
  out_ += '[';
  for (size_t i = 0; i < values.size(); i++) {
    if (i > 0) out_ += ',';
    appendJsonString(out_, values[i]);
  }
  out_ += ']';
  return *this;
}

JsonObject& JsonObject::raw(std::string_view name, std::string_view json) {
  begin(name);
  out_ += json;
  return *this;
}

}  // namespace km::pki
