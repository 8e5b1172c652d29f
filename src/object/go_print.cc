#include "object/go_print.h"

#include <fmt/format.h>

#include "base/strings.h"

namespace km::object {

using codec::Value;

std::string goPrint(const Value& v) {
  switch (v.type()) {
    case Value::Type::kNull:
      return "<nil>";
    case Value::Type::kBool:
      return v.asBool() ? "true" : "false";
    case Value::Type::kInt:
      return std::to_string(v.asInt());
    case Value::Type::kDouble:
      return formatGoFloat(v.asDouble());
    case Value::Type::kString:
      return std::string(v.asString());
    case Value::Type::kList: {
      std::string out = "[";
      for (const Value& e : v.items()) {
        if (out.size() > 1) out += ' ';
        out += goPrint(e);
      }
      return out + "]";
    }
    case Value::Type::kObject: {
      std::string out = "map[";
      for (const auto& m : v.members()) {
        if (out.size() > 4) out += ' ';
        out += m.key;
        out += ':';
        out += goPrint(m.value);
      }
      return out + "]";
    }
  }
  return {};
}

std::string goPrintAsString(const Value& v) {
  switch (v.type()) {
    case Value::Type::kNull:
      return "%!s(<nil>)";
    case Value::Type::kBool:
    case Value::Type::kInt:
    case Value::Type::kDouble:
      return fmt::format("%!s({}={})", goType(v), goPrint(v));
    default:
      return goPrint(v);
  }
}

std::string_view goType(const Value& v) {
  switch (v.type()) {
    case Value::Type::kNull:
      return "<nil>";
    case Value::Type::kBool:
      return "bool";
    case Value::Type::kInt:
      return "int64";
    case Value::Type::kDouble:
      return "float64";
    case Value::Type::kString:
      return "string";
    case Value::Type::kList:
      return "[]interface {}";
    case Value::Type::kObject:
      return "map[string]interface {}";
  }
  return {};
}

}  // namespace km::object
