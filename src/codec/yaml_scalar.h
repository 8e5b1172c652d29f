// How go-yaml v2 reads a scalar that has no quotes.
#pragma once

#include <string_view>

#include "codec/value.h"

namespace km::codec {

enum class YamlTag { kString, kBool, kNull, kInt, kFloat, kTimestamp, kMerge };

// What `text` is; `value` receives it (a timestamp stays a text; infinities and not-a-number are doubles).
YamlTag resolveYamlScalar(std::string_view text, Value* value);
// Whether YAML 1.1 would read it as a number of base 60 ("1:20"): such texts are written in quotes.
bool isBase60Float(std::string_view text);

}  // namespace km::codec
