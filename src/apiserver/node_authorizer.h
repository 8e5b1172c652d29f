// The Node authorizer: a kubelet reads its own Node, the pods that are bound to it and what they refer to,
// and nothing else of those kinds. What it may write of them, the NodeRestriction plugin looks at.
#pragma once

#include "api/types/core_v1.h"
#include "apiserver/resources.h"
#include "authz/authorizer.h"

namespace km::apiserver {

class NodeAuthorizer : public authz::Authorizer {
 public:
  explicit NodeAuthorizer(const Resources& resources) : resources_(resources) {}
  authz::Answer authorize(const authz::Attributes& a) const override;

 private:
  bool byRules(const authz::Attributes& a) const;
  bool isRelated(const authz::Attributes& a, const std::string& node) const;
  bool podRefers(const api::core_v1::Pod& pod, const authz::Attributes& a) const;

  authz::Answer related(const authz::Attributes& a, const std::string& node) const;
  authz::Answer onlyGet(const authz::Attributes& a, const std::string& node) const;
  authz::Answer onlyRead(const authz::Attributes& a, const std::string& node) const;
  authz::Answer claims(const authz::Attributes& a, const std::string& node) const;
  authz::Answer accounts(const authz::Attributes& a, const std::string& node) const;
  authz::Answer leases(const authz::Attributes& a, const std::string& node) const;
  authz::Answer csiNodes(const authz::Attributes& a, const std::string& node) const;
  authz::Answer slices(const authz::Attributes& a, const std::string& node) const;
  authz::Answer nodes(const authz::Attributes& a, const std::string& node) const;
  authz::Answer pods(const authz::Attributes& a, const std::string& node) const;

  const Resources& resources_;
};

}  // namespace km::apiserver
