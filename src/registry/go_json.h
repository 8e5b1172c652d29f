// Objects as upstream's own structs print them: the API server's internal types have no JSON tags, so names have Go's capitals, nothing
// is left out, and fields stand where the internal types have them. Refusals show rejected structs and differences so.
#pragma once

#include <string>

#include "codec/type.h"

namespace km::registry {

std::string goJson(const void* object, const codec::TypeInfo& t);
// What apimachinery's diff.Diff prints: a unified diff with three lines around each change of the indented JSON.
std::string goDiff(const void* a, const void* b, const codec::TypeInfo& t);
template <typename T>
std::string goDiff(const T& a, const T& b) {
  return goDiff(&a, &b, T::kType);
}

}  // namespace km::registry
