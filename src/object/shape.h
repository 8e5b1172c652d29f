// The shape of an object: all that decides which fields its creator owns, and none of the values that do not.
#pragma once

#include <string>

#include "codec/type.h"

namespace km::object {

// Objects of one type with equal shapes have equal field sets. False, with `out` of no meaning, for values whose sets depend on more.
bool appendShape(std::string& out, const void* object, const codec::TypeInfo& t);

}  // namespace km::object
