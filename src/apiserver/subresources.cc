#include "apiserver/subresources.h"

#include <fmt/format.h>

#include "api/types/meta_v1.h"

namespace km::apiserver {

void Subresources::add(std::string_view group, std::string_view resource, std::string_view subresource, SubresourceOps ops) {
  ops_[fmt::format("{}/{}/{}", group, resource, subresource)] = std::move(ops);
}

const SubresourceOps* Subresources::find(std::string_view group, std::string_view resource, std::string_view subresource) const {
  auto it = ops_.find(fmt::format("{}/{}/{}", group, resource, subresource));
  return it == ops_.end() ? nullptr : &it->second;
}

api::ObjectPtr successStatus(int code) {
  api::meta_v1::Status s;
  s.status = "Success";
  s.code = code;
  return api::Object::of(std::move(s));
}

}  // namespace km::apiserver
