#include "apiserver/rbac_guard.h"

#include <fmt/format.h>

#include "api/types/meta_v1.h"
#include "api/types/rbac_v1.h"
#include "codec/ops.h"

namespace km::apiserver {
namespace {

using namespace api::rbac_v1;
constexpr std::string_view kGroup = "rbac.authorization.k8s.io";

Status refused(const Call& call, const api::Object& o, std::string_view why) {
  return errors::forbidden({kGroup, call.served->resource->name}, o.name(), why);
}

// Whether only finalizers and owners differ, which the garbage collector needs to change.
bool onlyForCollection(const api::Object& o, const api::Object& old) {
  api::MutableObject copy = o.clone();
  auto& meta = copy->meta();
  const auto& was = old.meta();
  meta.finalizers = was.finalizers;
  meta.ownerReferences = was.ownerReferences;
  meta.managedFields = was.managedFields;
  meta.resourceVersion = was.resourceVersion;
  return codec::equal(copy->data(), old.data(), old.type());
}

}  // namespace

bool RbacGuard::may(const Call& call, std::string_view verb, std::string_view resource, std::string_view ns, std::string_view name) const {
  authz::Attributes a;
  a.user = &call.user;
  a.verb = verb;
  a.isResource = true;
  a.group = kGroup;
  a.version = "v1";
  a.resource = resource;
  a.ns = ns;
  a.name = name;
  return authorizer_.authorize(a).decision == authz::Decision::kAllow;
}

Status RbacGuard::escalation(const Call& call, const api::Object& o, const codec::List<PolicyRule>& rules) const {
  std::string missing = rbac_.missingRules(call.user, o.ns(), rules);
  if (missing.empty()) return {};
  std::string groups = "[";
  for (const std::string& g : call.user.groups) groups += fmt::format("{}\"{}\"", groups.size() == 1 ? "" : " ", g);
  return refused(call, o, fmt::format("user \"{}\" (groups={}]) is attempting to grant RBAC permissions not currently held:{}", call.user.name, groups, missing));
}

template <typename Binding>
Status RbacGuard::checkBinding(const Call& call, const api::Object& o, const Binding& b) const {
  bool cluster = b.roleRef.kind == "ClusterRole";
  std::string_view resource = cluster ? "clusterroles" : "roles";
  if (may(call, "bind", resource, o.ns(), b.roleRef.name)) return {};
  api::ObjectPtr role = resources_.cache(kGroup, resource).get(cluster ? "" : o.ns(), b.roleRef.name);
  if (!role) return errors::notFound({kGroup, cluster ? "clusterrole" : "role"}, b.roleRef.name);
  return escalation(call, o, cluster ? role->as<ClusterRole>().rules : role->as<Role>().rules);
}

Status RbacGuard::check(const Call& call, const api::Object& o, const api::Object* old) const {
  if (call.served->resource->group != kGroup || call.user.in(authn::kMasters)) return {};
  if (old != nullptr && onlyForCollection(o, *old)) return {};
  if (o.is(RoleBinding::kType)) return checkBinding(call, o, o.as<RoleBinding>());
  if (o.is(ClusterRoleBinding::kType)) return checkBinding(call, o, o.as<ClusterRoleBinding>());
  if (may(call, "escalate", call.served->resource->name, o.ns(), o.name())) return {};
  if (o.is(Role::kType)) return escalation(call, o, o.as<Role>().rules);
  const auto& role = o.as<ClusterRole>();
  KM_TRY(escalation(call, o, role.rules));
  bool aggregates = role.aggregationRule && !role.aggregationRule->clusterRoleSelectors.empty();
  if (!aggregates) return {};
  // It can gather anything.
  codec::List<PolicyRule> everything;
  auto& all = everything.add();
  all.verbs.push_back("*");
  all.apiGroups.push_back("*");
  all.resources.push_back("*");
  auto& urls = everything.add();
  urls.verbs.push_back("*");
  urls.nonResourceURLs.push_back("*");
  if (rbac_.missingRules(call.user, o.ns(), everything).empty()) return {};
  return refused(call, o, "must have cluster-admin privileges to use the aggregationRule");
}

}  // namespace km::apiserver
