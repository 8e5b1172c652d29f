// Roles and bindings.
#include <fmt/format.h>

#include "api/types/meta_v1.h"
#include "api/types/rbac_v1.h"
#include "codec/ops.h"
#include "registry/cells.h"
#include "registry/kinds.h"
#include "registry/rules.h"

namespace km::registry {
namespace {

namespace rbac = api::rbac_v1;
constexpr std::string_view kGroup = "rbac.authorization.k8s.io";

void validateRules(const codec::List<rbac::PolicyRule>& rules, bool namespaced, FieldErrors& errors) {
  for (size_t i = 0; i < rules.size(); i++) {
    const auto& r = rules[i];
    Path p = Path("rules").index(i);
    if (r.verbs.empty()) errors.required(p.child("verbs"), "verbs must contain at least one value");
    if (!r.nonResourceURLs.empty()) {
      Path urls = p.child("nonResourceURLs");
      if (namespaced) errors.invalid(urls, listValue(r.nonResourceURLs), "namespaced rules cannot apply to non-resource URLs");
      if (!r.apiGroups.empty() || !r.resources.empty() || !r.resourceNames.empty()) {
        errors.invalid(urls, listValue(r.nonResourceURLs), "rules cannot apply to both regular resources and non-resource URLs");
      }
      continue;
    }
    if (r.apiGroups.empty()) errors.required(p.child("apiGroups"), "resource rules must supply at least one api group");
    if (r.resources.empty()) errors.required(p.child("resources"), "resource rules must supply at least one resource");
  }
}

// Names are free but for what cannot stand in a path.
class RbacStrategy : public Strategy {
 public:
  api::Messages validateName(std::string_view name, bool) const override { return api::isValidPathSegmentName(name); }
  bool allowCreateOnUpdate() const override { return true; }
};

class RoleStrategy : public RbacStrategy {
 public:
  void validateCreate(const Context&, const api::Object& o, FieldErrors& errors) const override {
    validateRules(o.as<rbac::Role>().rules, true, errors);
  }
  void validateUpdate(const Context& c, const api::Object& o, const api::Object&, FieldErrors& errors) const override {
    validateCreate(c, o, errors);
  }
};

class ClusterRoleStrategy : public RbacStrategy {
 public:
  void validateCreate(const Context&, const api::Object& o, FieldErrors& errors) const override {
    const auto& role = o.as<rbac::ClusterRole>();
    validateRules(role.rules, false, errors);
    if (!role.aggregationRule) return;
    Path p("aggregationRule.clusterRoleSelectors");
    const auto& selectors = role.aggregationRule->clusterRoleSelectors;
    if (selectors.empty()) errors.required(p, "at least one clusterRoleSelector required if aggregationRule is non-nil");
    for (size_t i = 0; i < selectors.size(); i++) {
      size_t before = errors.size();
      validateLabelSelector(selectors[i], p.index(i), errors);
      if (errors.size() != before) errors.invalid(p.index(i), BadValue::raw("null"), "invalid label selector.");
    }
  }
  void validateUpdate(const Context& c, const api::Object& o, const api::Object&, FieldErrors& errors) const override {
    validateCreate(c, o, errors);
  }
};

void validateSubject(const rbac::Subject& s, bool namespaced, const Path& p, FieldErrors& errors) {
  if (s.name.empty()) errors.required(p.child("name"), "");
  if (s.kind == "ServiceAccount") {
    if (!s.name.empty()) dnsSubdomain(s.name, p.child("name"), errors);
    if (!s.apiGroup.empty()) errors.notSupported(p.child("apiGroup"), s.apiGroup.view(), {""});
    if (!namespaced && s.namespace_.empty()) errors.required(p.child("namespace"), "");
  } else if (isIn(s.kind, {"User", "Group"})) {
    if (s.apiGroup != kGroup) errors.notSupported(p.child("apiGroup"), s.apiGroup.view(), {kGroup});
  } else {
    errors.notSupported(p.child("kind"), s.kind.view(), {"ServiceAccount", "User", "Group"});
  }
}

template <typename Binding, bool kNamespaced>
class BindingStrategy : public RbacStrategy {
 public:
  void validateCreate(const Context&, const api::Object& o, FieldErrors& errors) const override {
    const auto& b = o.as<Binding>();
    if (b.roleRef.apiGroup != kGroup) errors.notSupported(Path("roleRef.apiGroup"), b.roleRef.apiGroup.view(), {kGroup});
    if (b.roleRef.kind != "ClusterRole" && !(kNamespaced && b.roleRef.kind == "Role")) {
      std::vector<std::string_view> kinds = {"ClusterRole"};
      if (kNamespaced) kinds.emplace_back("Role");
      errors.notSupported(Path("roleRef.kind"), b.roleRef.kind.view(), kinds);
    }
    Path name("roleRef.name");
    if (b.roleRef.name.empty()) {
      errors.required(name, "");
    } else {
      errors.each(name, b.roleRef.name.view(), api::isValidPathSegmentName(b.roleRef.name));
    }
    for (size_t i = 0; i < b.subjects.size(); i++) validateSubject(b.subjects[i], kNamespaced, Path("subjects").index(i), errors);
  }
  void validateUpdate(const Context& c, const api::Object& o, const api::Object& old, FieldErrors& errors) const override {
    validateCreate(c, o, errors);
    if (!samePart(o, old, "roleRef")) {
      errors.invalid(Path("roleRef"), structValue(o.as<Binding>().roleRef), "cannot change roleRef");
    }
  }
  std::vector<std::string> cells(const api::Resource&, const api::Object& o, WallTime now) const override {
    const auto& b = o.as<Binding>();
    std::vector<std::string> users, groups, accounts;
    for (const auto& s : b.subjects) {
      if (s.kind == "User") users.push_back(s.name.str());
      if (s.kind == "Group") groups.push_back(s.name.str());
      if (s.kind == "ServiceAccount") {
        accounts.push_back(s.namespace_.empty() ? s.name.str() : fmt::format("{}/{}", s.namespace_, s.name));
      }
    }
    return {textCell(o.name()),
            textCell(fmt::format("{}/{}", b.roleRef.kind, b.roleRef.name)),
            ageCell(o, now),
            textCell(joined(users, ", ")),
            textCell(joined(groups, ", ")),
            textCell(joined(accounts, ", "))};
  }
};

}  // namespace

std::unique_ptr<Strategy> makeRole() { return std::make_unique<RoleStrategy>(); }
std::unique_ptr<Strategy> makeClusterRole() { return std::make_unique<ClusterRoleStrategy>(); }
std::unique_ptr<Strategy> makeRoleBinding() { return std::make_unique<BindingStrategy<rbac::RoleBinding, true>>(); }
std::unique_ptr<Strategy> makeClusterRoleBinding() { return std::make_unique<BindingStrategy<rbac::ClusterRoleBinding, false>>(); }

}  // namespace km::registry
