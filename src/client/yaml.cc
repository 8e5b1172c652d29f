// YAML to JSON over libyaml's events.
#include <yaml.h>

#include <cmath>
#include <cstdlib>
#include <map>

#include "base/strings.h"
#include "client/kubeconfig.h"
#include "codec/value.h"

namespace km::client {
namespace {

using codec::Value;

constexpr int kMaxDepth = 100;
constexpr size_t kMaxNodes = 1'000'000;  // aliases can blow a small document up

class Reader {
 public:
  explicit Reader(std::string_view text) {
    yaml_parser_initialize(&parser_);
    yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(text.data()), text.size());
  }
  ~Reader() {
    yaml_event_delete(&event_);
    yaml_parser_delete(&parser_);
  }

  Result<Value> document() {
    KM_TRY(next());  // stream start
    KM_TRY(next());
    if (event_.type == YAML_STREAM_END_EVENT) return Value();
    KM_TRY(next());  // past document start
    return node(0);
  }

 private:
  Status next() {
    yaml_event_delete(&event_);
    if (yaml_parser_parse(&parser_, &event_) == 0) {
      return errors::badRequest("yaml: line " + std::to_string(parser_.problem_mark.line + 1) + ": " +
                                (parser_.problem ? parser_.problem : "unreadable"));
    }
    return {};
  }

  static std::string text(const yaml_char_t* s) { return s ? reinterpret_cast<const char*>(s) : ""; }

  // The node that begins with the current event.
  Result<Value> node(int depth) {
    if (depth > kMaxDepth) return errors::badRequest("yaml: exceeded max depth");
    if (++nodes_ > kMaxNodes) return errors::badRequest("yaml: document contains excessive aliasing");
    std::string anchor;
    Value v;
    switch (event_.type) {
      case YAML_ALIAS_EVENT: {
        auto it = anchors_.find(text(event_.data.alias.anchor));
        if (it == anchors_.end()) return errors::badRequest("yaml: unknown anchor");
        return it->second;
      }
      case YAML_SCALAR_EVENT:
        anchor = text(event_.data.scalar.anchor);
        v = scalar();
        break;
      case YAML_SEQUENCE_START_EVENT: {
        anchor = text(event_.data.sequence_start.anchor);
        v = Value::list();
        while (true) {
          KM_TRY(next());
          if (event_.type == YAML_SEQUENCE_END_EVENT) break;
          KM_ASSIGN(auto item, node(depth + 1));
          v.push(std::move(item));
        }
        break;
      }
      case YAML_MAPPING_START_EVENT: {
        anchor = text(event_.data.mapping_start.anchor);
        KM_ASSIGN(v, mapping(depth));
        break;
      }
      default:
        return errors::badRequest("yaml: unexpected event");
    }
    if (!anchor.empty()) anchors_[anchor] = v;
    return v;
  }

  Result<Value> mapping(int depth) {
    Value v = Value::object();
    while (true) {
      KM_TRY(next());
      if (event_.type == YAML_MAPPING_END_EVENT) return v;
      if (event_.type != YAML_SCALAR_EVENT) return errors::badRequest("yaml: a key must be a scalar");
      std::string key(reinterpret_cast<const char*>(event_.data.scalar.value), event_.data.scalar.length);
      bool merge = key == "<<" && event_.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
      KM_TRY(next());
      KM_ASSIGN(auto value, node(depth + 1));
      if (!merge) {
        v.set(key, std::move(value));
      } else {
        for (auto& m : value.members()) {
          if (v.find(m.key) == nullptr) v.set(m.key, m.value);
        }
      }
    }
  }

  Value scalar() const {
    const auto& s = event_.data.scalar;
    std::string t(reinterpret_cast<const char*>(s.value), s.length);
    if (s.style != YAML_PLAIN_SCALAR_STYLE || text(s.tag) == "tag:yaml.org,2002:str") return Value::string(t);
    if (t.empty() || t == "~" || t == "null" || t == "Null" || t == "NULL") return Value();
    for (std::string_view yes : {"true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"}) {
      if (t == yes) return Value::boolean(true);
    }
    for (std::string_view no : {"false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"}) {
      if (t == no) return Value::boolean(false);
    }
    if (auto number = numberOf(t)) return std::move(*number);
    return Value::string(t);
  }

  static std::optional<Value> numberOf(const std::string& t) {
    char c = t[0];
    if (!(isdigit(static_cast<unsigned char>(c)) || c == '-' || c == '+' || c == '.')) return std::nullopt;
    std::string plain = replaceAll(t, "_", "");
    bool negative = plain[0] == '-';
    std::string digits = plain.substr(negative || plain[0] == '+' ? 1 : 0);
    if (digits.empty()) return std::nullopt;
    int base = 10;
    if (digits.size() > 1 && digits[0] == '0') {
      base = digits[1] == 'x' ? 16 : digits[1] == 'b' ? 2 : digits[1] == 'o' || isdigit(digits[1]) ? 8 : 10;
      if (base != 10) digits.erase(0, isdigit(static_cast<unsigned char>(digits[1])) ? 1 : 2);
    }
    char* end = nullptr;
    errno = 0;
    if (!digits.empty() && isxdigit(static_cast<unsigned char>(digits[0]))) {
      long long n = std::strtoll(digits.c_str(), &end, base);
      if (*end == 0 && errno == 0) return Value::integer(negative ? -n : n);
    }
    if (plain.find_first_not_of("0123456789+-.eE") != std::string::npos) return std::nullopt;
    double d = std::strtod(plain.c_str(), &end);
    if (*end == 0 && end != plain.c_str() && std::isfinite(d)) return Value::number(d);
    return std::nullopt;
  }

  yaml_parser_t parser_{};
  yaml_event_t event_{};
  std::map<std::string, Value> anchors_;
  size_t nodes_ = 0;
};

}  // namespace

Result<std::string> yamlToJson(std::string_view text) {
  Reader reader(text);
  KM_ASSIGN(auto v, reader.document());
  return v.json();
}

}  // namespace km::client
