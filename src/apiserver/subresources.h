// Subresources and unstored resources that are operations of their own: bindings, evictions, scales, tokens, reviews. Each takes
// and gives objects, so both transports reach them.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "apiserver/operations.h"

namespace km::apiserver {

struct SubresourceOps {
  const codec::TypeInfo* type = nullptr;  // of the objects that go in
  std::function<void(CallPtr, registry::ObjectCallback)> get;
  std::function<void(CallPtr, api::MutableObject, registry::ObjectCallback)> create;
  std::function<void(CallPtr, api::MutableObject, registry::ObjectCallback)> update;
  std::function<void(CallPtr, PatchKind, std::string body, registry::ObjectCallback)> patch = {};
};

class Subresources {
 public:
  // `subresource` empty: the resource itself (reviews).
  void add(std::string_view group, std::string_view resource, std::string_view subresource, SubresourceOps ops);
  const SubresourceOps* find(std::string_view group, std::string_view resource, std::string_view subresource) const;
  const std::map<std::string, SubresourceOps, std::less<>>& all() const { return ops_; }

 private:
  std::map<std::string, SubresourceOps, std::less<>> ops_;  // "group/resource/subresource"
};

// metav1.Status with status Success and the code: what bindings and evictions answer.
api::ObjectPtr successStatus(int code);

}  // namespace km::apiserver
