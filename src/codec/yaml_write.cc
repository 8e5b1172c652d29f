#include <yaml.h>

#include <algorithm>

#include "base/base64.h"
#include "base/strings.h"
#include "codec/yaml.h"
#include "codec/yaml_scalar.h"

namespace km::codec {
namespace {

// The code points of valid UTF-8; false if it is not.
bool decodeUtf8(std::string_view s, std::u32string* out) {
  for (size_t i = 0; i < s.size();) {
    auto c = static_cast<unsigned char>(s[i]);
    int n = c < 0x80                ? 1
            : c >= 0xC2 && c < 0xE0 ? 2
            : c >= 0xE0 && c < 0xF0 ? 3
            : c >= 0xF0 && c < 0xF5 ? 4
                                    : 0;
    if (n == 0 || i + static_cast<size_t>(n) > s.size()) return false;
    char32_t v = n == 1 ? c : c & (0x7F >> n);
    for (int k = 1; k < n; k++) {
      auto d = static_cast<unsigned char>(s[i + static_cast<size_t>(k)]);
      if ((d & 0xC0) != 0x80) return false;
      v = (v << 6) | (d & 0x3F);
    }
    if ((n == 3 && (v < 0x800 || (v >= 0xD800 && v < 0xE000))) || (n == 4 && (v < 0x10000 || v > 0x10FFFF)))
      return false;
    out->push_back(v);
    i += static_cast<size_t>(n);
  }
  return true;
}

bool isDigit(char32_t c) {
  return c >= '0' && c <= '9';
}
bool isLetter(char32_t c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= 0xAA && c != 0xD7 && c != 0xF7);
}

// go-yaml sorts "a2" before "a10", and what is no letter before letters.
bool keyLess(std::string_view a, std::string_view b) {
  std::u32string x, y;
  if (!decodeUtf8(a, &x) || !decodeUtf8(b, &y)) return a < b;
  for (size_t i = 0; i < x.size() && i < y.size(); i++) {
    if (x[i] == y[i]) continue;
    bool xl = isLetter(x[i]), yl = isLetter(y[i]);
    if (xl && yl) return x[i] < y[i];
    if (xl || yl) return yl;
    uint64_t xn = 0, yn = 0;
    if (x[i] == '0' || y[i] == '0') {
      for (size_t j = i; j-- > 0 && isDigit(x[j]);) {
        if (x[j] != '0') {
          xn = yn = 1;
          break;
        }
      }
    }
    size_t xi = i, yi = i;
    for (; xi < x.size() && isDigit(x[xi]); xi++) xn = xn * 10 + (x[xi] - '0');
    for (; yi < y.size() && isDigit(y[yi]); yi++) yn = yn * 10 + (y[yi] - '0');
    if (xn != yn) return xn < yn;
    if (xi != yi) return xi < yi;
    return x[i] < y[i];
  }
  return x.size() < y.size();
}

class Writer {
 public:
  explicit Writer(std::string& out) {
    yaml_emitter_initialize(&emitter_);
    yaml_emitter_set_unicode(&emitter_, 1);
    yaml_emitter_set_output(&emitter_, append, &out);
  }
  ~Writer() { yaml_emitter_delete(&emitter_); }

  void document(const Value& v) {
    yaml_event_t e;
    yaml_stream_start_event_initialize(&e, YAML_UTF8_ENCODING);
    emit(e);
    yaml_document_start_event_initialize(&e, nullptr, nullptr, nullptr, 1);
    emit(e);
    value(v);
    yaml_document_end_event_initialize(&e, 1);
    emit(e);
    yaml_stream_end_event_initialize(&e);
    emit(e);
  }

 private:
  static int append(void* out, unsigned char* bytes, size_t size) {
    static_cast<std::string*>(out)->append(reinterpret_cast<char*>(bytes), size);
    return 1;
  }

  void emit(yaml_event_t& e) { (void)yaml_emitter_emit(&emitter_, &e); }

  void scalar(std::string_view s, yaml_scalar_style_t style, const char* tag = nullptr) {
    yaml_event_t e;
    bool implicit = tag == nullptr;
    yaml_scalar_event_initialize(&e, nullptr, reinterpret_cast<const yaml_char_t*>(tag),
                                 reinterpret_cast<const yaml_char_t*>(s.data()), static_cast<int>(s.size()),
                                 implicit, implicit, style);
    emit(e);
  }

  void text(std::string_view s) {
    std::u32string points;
    if (!decodeUtf8(s, &points)) {
      std::string encoded = base64Encode(s);
      return scalar(encoded, YAML_DOUBLE_QUOTED_SCALAR_STYLE, "tag:yaml.org,2002:binary");
    }
    if (s.find('\n') != std::string_view::npos) return scalar(s, YAML_LITERAL_SCALAR_STYLE);
    Value read;
    bool plain = resolveYamlScalar(s, &read) == YamlTag::kString && !isBase60Float(s);
    scalar(s, plain ? YAML_PLAIN_SCALAR_STYLE : YAML_DOUBLE_QUOTED_SCALAR_STYLE);
  }

  void value(const Value& v) {
    yaml_event_t e;
    switch (v.type()) {
      case Value::Type::kNull:
        return scalar("null", YAML_PLAIN_SCALAR_STYLE);
      case Value::Type::kBool:
        return scalar(v.asBool() ? "true" : "false", YAML_PLAIN_SCALAR_STYLE);
      case Value::Type::kInt:
        return scalar(std::to_string(v.asInt()), YAML_PLAIN_SCALAR_STYLE);
      case Value::Type::kDouble:
        return scalar(formatGoFloat(v.asDouble()), YAML_PLAIN_SCALAR_STYLE);
      case Value::Type::kString:
        return text(v.asString());
      case Value::Type::kList:
        yaml_sequence_start_event_initialize(
            &e, nullptr, nullptr, 1, v.size() == 0 ? YAML_FLOW_SEQUENCE_STYLE : YAML_BLOCK_SEQUENCE_STYLE);
        emit(e);
        for (const Value& item : v.items()) value(item);
        yaml_sequence_end_event_initialize(&e);
        return emit(e);
      case Value::Type::kObject: {
        yaml_mapping_start_event_initialize(&e, nullptr, nullptr, 1, YAML_BLOCK_MAPPING_STYLE);
        emit(e);
        std::vector<const Value::Member*> sorted;
        for (const auto& m : v.members()) sorted.push_back(&m);
        std::stable_sort(sorted.begin(), sorted.end(),
                         [](const auto* a, const auto* b) { return keyLess(a->key.view(), b->key.view()); });
        for (const auto* m : sorted) {
          text(m->key);
          value(m->value);
        }
        yaml_mapping_end_event_initialize(&e);
        return emit(e);
      }
    }
  }

  yaml_emitter_t emitter_;
};

}  // namespace

void appendYaml(std::string& out, const Value& v) {
  Writer(out).document(v);
}

std::string toYaml(const Value& v) {
  std::string out;
  appendYaml(out, v);
  return out;
}

Result<std::string> jsonToYaml(std::string_view json) {
  KM_ASSIGN(Value v, Value::parse(json));
  return toYaml(v);
}

}  // namespace km::codec
