#include <fmt/format.h>
#include <yaml.h>

#include <cmath>
#include <map>

#include "base/base64.h"
#include "base/strings.h"
#include "codec/yaml.h"
#include "codec/yaml_scalar.h"

namespace km::codec {
namespace {

constexpr std::string_view kTagPrefix = "tag:yaml.org,2002:";

std::string_view text(const yaml_char_t* s) {
  return s != nullptr ? reinterpret_cast<const char*>(s) : std::string_view();
}

class Reader {
 public:
  Reader(std::string_view input, std::vector<std::string>* duplicates) : duplicates_(duplicates) {
    yaml_parser_initialize(&parser_);
    yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(input.data()),
                                 input.size());
  }
  ~Reader() {
    if (hasEvent_) yaml_event_delete(&event_);
    yaml_parser_delete(&parser_);
  }

  Result<Value> document() {
    KM_TRY(next());  // stream start
    KM_TRY(next());
    if (event_.type == YAML_STREAM_END_EVENT) return Value();
    KM_TRY(next());
    Value v;
    KM_TRY(node(v, 0));
    return v;
  }

 private:
  static Status fail(std::string message) { return errors::badRequest("yaml: " + message); }

  Status next() {
    if (hasEvent_) yaml_event_delete(&event_);
    hasEvent_ = yaml_parser_parse(&parser_, &event_) != 0;
    if (hasEvent_) return {};
    // go-yaml counts the lines of its two stages differently.
    size_t line = parser_.problem_mark.line;
    if (line != 0) {
      if (parser_.error == YAML_SCANNER_ERROR) line++;
    } else {
      line = parser_.context_mark.line;
    }
    std::string where = line != 0 ? fmt::format("line {}: ", line) : std::string();
    return fail(where +
                (parser_.problem != nullptr ? parser_.problem : "unknown problem parsing YAML content"));
  }

  // Reads the node whose first event is at hand; leaves its last event at hand.
  Status node(Value& v, int depth) {
    if (depth > kMaxValueDepth) return fail("exceeded max depth");
    size_t before = nodes_++;
    std::string anchor;
    switch (event_.type) {
      case YAML_ALIAS_EVENT:
        return alias(v);
      case YAML_SCALAR_EVENT:
        anchor = text(event_.data.scalar.anchor);
        KM_TRY(scalar(v));
        break;
      case YAML_SEQUENCE_START_EVENT:
        anchor = text(event_.data.sequence_start.anchor);
        KM_TRY(open(anchor));
        v = Value::list();
        while (true) {
          KM_TRY(next());
          if (event_.type == YAML_SEQUENCE_END_EVENT) break;
          KM_TRY(node(v.push({}), depth + 1));
        }
        break;
      case YAML_MAPPING_START_EVENT:
        anchor = text(event_.data.mapping_start.anchor);
        KM_TRY(open(anchor));
        KM_TRY(mapping(v, depth));
        break;
      default:
        return fail("unexpected event");
    }
    if (!anchor.empty()) anchors_[anchor] = {v, nodes_ - before, false};
    return {};
  }

  Status open(const std::string& anchor) {
    if (!anchor.empty()) anchors_[anchor] = {Value(), 0, true};
    return {};
  }

  Status alias(Value& v) {
    std::string name(text(event_.data.alias.anchor));
    auto it = anchors_.find(name);
    if (it == anchors_.end()) return fail(fmt::format("unknown anchor '{}' referenced", name));
    if (it->second.open) return fail(fmt::format("anchor '{}' value contains itself", name));
    nodes_ += it->second.nodes;
    aliased_ += it->second.nodes;
    // What aliases may make of a document, go-yaml's rule; and an end to it.
    double most = nodes_ <= 400000    ? 0.99
                  : nodes_ >= 4000000 ? 0.10
                                      : 0.99 - 0.89 * (nodes_ - 400000.0) / 3600000.0;
    if (aliased_ > 100 && nodes_ > 1000 &&
        static_cast<double>(aliased_) / static_cast<double>(nodes_) > most) {
      return fail("document contains excessive aliasing");
    }
    if (nodes_ > 4000000) return fail("document contains excessive aliasing");
    v = it->second.value;
    return {};
  }

  Status scalar(Value& v) {
    const auto& s = event_.data.scalar;
    std::string_view value(reinterpret_cast<const char*>(s.value), s.length);
    std::string_view tag = text(s.tag);
    if (tag.empty()) {
      if (s.plain_implicit) {
        resolveYamlScalar(value, &v);
        return number(v);
      }
      v = Value::string(value);
      return {};
    }
    if (!tag.starts_with(kTagPrefix)) {
      v = Value::string(value);
      return {};
    }
    tag.remove_prefix(kTagPrefix.size());
    if (tag == "binary") {
      auto bytes = base64Decode(value);
      if (!bytes) return fail("!!binary value contains invalid base64 data");
      v = Value::string(*bytes);
      return {};
    }
    if (tag == "str") {
      v = Value::string(value);
      return {};
    }
    YamlTag found = resolveYamlScalar(value, &v);
    bool fits = (tag == "int" && found == YamlTag::kInt) || (tag == "bool" && found == YamlTag::kBool) ||
                (tag == "null" && found == YamlTag::kNull) ||
                (tag == "timestamp" && found == YamlTag::kTimestamp) ||
                (tag == "float" && (found == YamlTag::kFloat || found == YamlTag::kInt));
    bool known = tag == "int" || tag == "bool" || tag == "null" || tag == "float" || tag == "timestamp";
    if (known && !fits) {
      static const char* kNames[] = {"!!str",   "!!bool",      "!!null", "!!int",
                                     "!!float", "!!timestamp", "!!merge"};
      return fail(
          fmt::format("cannot decode {} `{}` as a !!{}", kNames[static_cast<int>(found)], value, tag));
    }
    if (!known) v = Value::string(value);
    return number(v);
  }

  // Numbers go through JSON text upstream, where a whole one is an integer again.
  static Status number(Value& v) {
    if (!v.isDouble()) return {};
    double d = v.asDouble();
    if (!std::isfinite(d)) {
      return errors::badRequest(fmt::format("json: unsupported value: {}", std::isnan(d) ? "NaN"
                                                                           : d > 0       ? "+Inf"
                                                                                         : "-Inf"));
    }
    if (d == std::trunc(d) && std::fabs(d) < 9.2e18) v = Value::integer(static_cast<int64_t>(d));
    return {};
  }

  Status mapping(Value& v, int depth) {
    v = Value::object();
    while (true) {
      KM_TRY(next());
      if (event_.type == YAML_MAPPING_END_EVENT) return {};
      bool merge = event_.type == YAML_SCALAR_EVENT && text(event_.data.scalar.value) == "<<" &&
                   (event_.data.scalar.plain_implicit != 0 ||
                    text(event_.data.scalar.tag) == "tag:yaml.org,2002:merge");
      Value key;
      KM_TRY(node(key, depth + 1));
      KM_TRY(next());
      size_t line = event_.start_mark.line + 1;
      Value value;
      KM_TRY(node(value, depth + 1));
      if (merge) {
        KM_TRY(mergeInto(v, value));
        continue;
      }
      KM_ASSIGN(std::string name, keyText(key));
      if (duplicates_ != nullptr && v.find(name) != nullptr) {
        duplicates_->push_back(
            fmt::format("line {}: key {} already set in map", line, key.isString() ? quote(name) : name));
      }
      v.set(name, std::move(value));
    }
  }

  static Status mergeInto(Value& v, const Value& from) {
    if (from.isObject()) {
      for (const auto& m : from.members()) v.set(m.key, m.value);
      return {};
    }
    if (from.isList()) {
      for (size_t i = from.size(); i-- > 0;) {
        if (!from.items()[i].isObject())
          return fail("map merge requires map or sequence of maps as the value");
        KM_TRY(mergeInto(v, from.items()[i]));
      }
      return {};
    }
    return fail("map merge requires map or sequence of maps as the value");
  }

  static Result<std::string> keyText(const Value& key) {
    switch (key.type()) {
      case Value::Type::kString:
        return std::string(key.asString());
      case Value::Type::kInt:
        return std::to_string(key.asInt());
      case Value::Type::kDouble:
        return formatGoFloat(key.asDouble());
      case Value::Type::kBool:
        return std::string(key.asBool() ? "true" : "false");
      case Value::Type::kNull:
        return errors::badRequest("unsupported map key of type: %!s(<nil>)");
      default:
        return fail(fmt::format("invalid map key: {}", key.json()));
    }
  }

  struct Anchor {
    Value value;
    size_t nodes = 0;
    bool open = false;
  };

  yaml_parser_t parser_;
  yaml_event_t event_;
  bool hasEvent_ = false;
  std::vector<std::string>* duplicates_;
  std::map<std::string, Anchor> anchors_;
  size_t nodes_ = 0;
  size_t aliased_ = 0;
};

}  // namespace

Result<Value> parseYaml(std::string_view input, std::vector<std::string>* duplicates) {
  if (input.size() > kMaxYamlBytes) return errors::badRequest("yaml: document is too large");
  return Reader(input, duplicates).document();
}

Result<std::string> yamlToJson(std::string_view input, std::vector<std::string>* duplicates) {
  KM_ASSIGN(Value v, parseYaml(input, duplicates));
  return v.json();
}

std::string yamlUnmarshalErrors(const std::vector<std::string>& duplicates) {
  std::string out = "yaml: unmarshal errors:";
  for (const std::string& d : duplicates) out += "\n  " + d;
  return out;
}

std::vector<std::string_view> splitYamlDocuments(std::string_view input) {
  std::vector<std::string_view> out;
  auto put = [&](std::string_view document) {
    if (!trimSpace(document).empty()) out.push_back(document);
  };
  size_t begin = 0;
  for (size_t line = 0; line < input.size();) {
    size_t end = input.find('\n', line);
    if (end == std::string_view::npos) end = input.size();
    if (input.substr(line).starts_with("---")) {
      put(input.substr(begin, line - begin));
      // What follows the dashes on their line belongs to the document, unless it is a comment or nothing.
      std::string_view rest = trimSpace(input.substr(line + 3, end - line - 3));
      begin = rest.empty() || rest[0] == '#' ? std::min(end + 1, input.size()) : line + 3;
    }
    line = end + 1;
  }
  put(input.substr(begin));
  return out;
}

}  // namespace km::codec
