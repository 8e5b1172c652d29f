// RBAC over the cluster's roles and bindings, indexed by subject.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "api/object.h"
#include "authz/authorizer.h"

namespace km::authz {

using ObjectList = std::shared_ptr<const std::vector<api::ObjectPtr>>;

// The four kinds at one moment. A source gives the same pointers as long as nothing changed.
struct RbacObjects {
  ObjectList roles, roleBindings, clusterRoles, clusterRoleBindings;
};

class Rbac : public Authorizer {
 public:
  // `source` is asked at every decision; it must be quick.
  explicit Rbac(std::function<RbacObjects()> source);
  ~Rbac() override;
  Answer authorize(const Attributes& a) const override;

  // Whether the user holds all the rules already: nobody may hand out more than that (escalation). "" if so, else what is missing,
  // each on a line of its own that a newline begins.
  std::string missingRules(const authn::UserInfo& user, std::string_view ns,
                           const codec::List<api::rbac_v1::PolicyRule>& rules) const;
  // The rules that apply to a user in a namespace (SelfSubjectRulesReview). `error`: which roles are bound but not there.
  std::vector<const api::rbac_v1::PolicyRule*> rulesFor(const authn::UserInfo& user, std::string_view ns, ObjectList& keep, std::string* error = nullptr) const;

 private:
  struct Index;
  std::shared_ptr<const Index> index() const;

  std::function<RbacObjects()> source_;
  mutable std::mutex mutex_;
  mutable std::shared_ptr<const Index> index_;
};

}  // namespace km::authz
