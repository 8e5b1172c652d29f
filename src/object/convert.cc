#include "object/convert.h"

#include <fmt/format.h>

#include "codec/ops.h"
#include "codec/value.h"
#include "object/convert_rules.h"

namespace km::object {

using codec::TypeInfo;
using codec::Value;

Result<api::MutableObject> convert(const api::Object& o, const TypeInfo& to) {
  if (o.is(to)) return o.clone();
  const TypeInfo& from = o.type();
  if (from.name != to.name) {
    return errors::failed(fmt::format("converting ({}.{}) to ({}.{}): unknown conversion", from.apiVersion,
                                      from.name, to.apiVersion, to.name));
  }
  std::string text;
  codec::encodeJson(text, o.data(), from, to.apiVersion);
  if (ConversionRule rule = conversionRule(from, to); rule != nullptr) {
    KM_ASSIGN(Value v, Value::parse(text));
    rule(v);
    text.clear();
    v.appendJson(text);
  }
  api::MutableObject out = api::Object::make(to);
  KM_TRY(codec::decodeJson(text, out->data(), to));
  return out;
}

}  // namespace km::object
