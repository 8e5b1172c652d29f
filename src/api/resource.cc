#include "api/resource.h"

namespace km::api {

const Resource* findResource(std::string_view group, std::string_view version, std::string_view name) {
  for (const Resource& r : builtinResources()) {
    if (r.name == name && r.group == group && r.version == version) return &r;
  }
  return nullptr;
}

const Resource* findResourceByKind(std::string_view group, std::string_view version, std::string_view kind) {
  for (const Resource& r : builtinResources()) {
    if (r.kind == kind && r.group == group && r.version == version) return &r;
  }
  return nullptr;
}

}  // namespace km::api
