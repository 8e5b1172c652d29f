// For tests: every type that the built-in resources reach.
#pragma once

#include <map>
#include <string>

#include "api/resource.h"
#include "object/openapi_model.h"

namespace km::object {

inline void reachTypes(const codec::TypeInfo& t, std::map<std::string, const codec::TypeInfo*>& out) {
  if (!out.emplace(definitionName(t), &t).second) return;
  for (const codec::Field& f : t) {
    if (f.type != nullptr) reachTypes(*f.type, out);
  }
}

// By definition name.
inline std::map<std::string, const codec::TypeInfo*> allTypes() {
  std::map<std::string, const codec::TypeInfo*> out;
  for (const api::Resource& r : api::builtinResources()) {
    if (r.type != nullptr) reachTypes(*r.type, out);
    if (r.listType != nullptr) reachTypes(*r.listType, out);
  }
  return out;
}

}  // namespace km::object
