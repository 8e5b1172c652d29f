// Nobody hands out more than they hold: the checks of upstream's policy-based storages on roles and bindings.
#pragma once

#include "api/object.h"
#include "apiserver/call.h"
#include "authz/authorizer.h"
#include "authz/rbac.h"
#include "base/status.h"

namespace km::apiserver {

class RbacGuard {
 public:
  // Both must outlive the guard.
  RbacGuard(const Resources& resources, const authz::Rbac& rbac, const authz::Authorizer& authorizer)
      : resources_(resources), rbac_(rbac), authorizer_(authorizer) {}

  // Of a create (old is null) or update, after mutating admission. Success for what is neither role nor binding.
  Status check(const Call& call, const api::Object& o, const api::Object* old) const;

 private:
  bool may(const Call& call, std::string_view verb, std::string_view resource, std::string_view ns, std::string_view name) const;
  Status escalation(const Call& call, const api::Object& o, const codec::List<api::rbac_v1::PolicyRule>& rules) const;
  template <typename Binding>
  Status checkBinding(const Call& call, const api::Object& o, const Binding& b) const;

  const Resources& resources_;
  const authz::Rbac& rbac_;
  const authz::Authorizer& authorizer_;
};

}  // namespace km::apiserver
