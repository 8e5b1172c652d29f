// How Go's fmt prints decoded JSON: part of error texts.
#pragma once

#include <string>

#include "codec/value.h"

namespace km::object {

std::string goPrint(const codec::Value& v);          // %v: map[a:1 b:[x y]]
std::string goPrintAsString(const codec::Value& v);  // %s: text as it is, else %!s(int64=7)
// reflect.TypeOf: "map[string]interface {}", "[]interface {}", "string", "int64", "float64", "bool", "<nil>"
std::string_view goType(const codec::Value& v);

}  // namespace km::object
