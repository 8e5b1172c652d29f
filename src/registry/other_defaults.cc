// Defaults of the smaller groups that depend on other fields.
#include "api/types/discovery_v1.h"
#include "api/types/meta_v1.h"
#include "api/types/rbac_v1.h"
#include "api/types/scheduling_v1.h"
#include "registry/defaults.h"

namespace km::registry {
namespace {

template <typename T, void (*F)(T&)>
constexpr TypeDefault rule() {
  return {&T::kType, [](void* value) { F(*static_cast<T*>(value)); }};
}

constexpr char kRbac[] = "rbac.authorization.k8s.io";

void roleRef(api::rbac_v1::RoleRef& r) {
  if (r.apiGroup.empty()) r.apiGroup = kRbac;
}
void subject(api::rbac_v1::Subject& s) {
  if (s.apiGroup.empty() && (s.kind == "User" || s.kind == "Group")) s.apiGroup = kRbac;
}
void slicePort(api::discovery_v1::EndpointPort& p) {
  if (!p.name) p.name = "";
  if (!p.protocol) p.protocol = "TCP";
}
void priorityClass(api::scheduling_v1::PriorityClass& p) {
  if (!p.preemptionPolicy) p.preemptionPolicy = "PreemptLowerPriority";
}

constexpr TypeDefault kRules[] = {
    rule<api::rbac_v1::RoleRef, roleRef>(),
    rule<api::rbac_v1::Subject, subject>(),
    rule<api::discovery_v1::EndpointPort, slicePort>(),
    rule<api::scheduling_v1::PriorityClass, priorityClass>(),
};

}  // namespace

std::span<const TypeDefault> otherDefaults() { return kRules; }

}  // namespace km::registry
