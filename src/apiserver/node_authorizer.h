// The Node authorizer: a kubelet reads the secrets, config maps and claims of the pods that are bound to its node, and no others.
#pragma once

#include "apiserver/resources.h"
#include "authz/authorizer.h"

namespace km::apiserver {

class NodeAuthorizer : public authz::Authorizer {
 public:
  explicit NodeAuthorizer(const Resources& resources) : resources_(resources) {}
  authz::Answer authorize(const authz::Attributes& a) const override;

 private:
  bool byRules(const authz::Attributes& a) const;
  bool podOnNodeRefers(const authz::Attributes& a, const std::string& node) const;

  const Resources& resources_;
};

}  // namespace km::apiserver
