// Defaults of the smaller groups that depend on other fields.
#include "api/types/admissionregistration_v1.h"
#include "api/types/apiregistration_v1.h"
#include "api/types/authentication_v1.h"
#include "api/types/discovery_v1.h"
#include "api/types/flowcontrol_v1.h"
#include "api/types/meta_v1.h"
#include "api/types/networking_v1.h"
#include "api/types/rbac_v1.h"
#include "api/types/resource_v1.h"
#include "api/types/scheduling_v1.h"
#include "api/types/storage_v1.h"
#include "registry/defaults.h"

namespace km::registry {
namespace {

template <typename T, void (*F)(T&)>
constexpr TypeDefault rule() {
  return {&T::kType, [](void* value) { F(*static_cast<T*>(value)); }};
}

constexpr char kRbac[] = "rbac.authorization.k8s.io";

void tokenRequest(api::authentication_v1::TokenRequestSpec& s) {
  if (!s.expirationSeconds) s.expirationSeconds = 3600;
}

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

void storageClass(api::storage_v1::StorageClass& c) {
  if (!c.reclaimPolicy) c.reclaimPolicy = "Delete";
  if (!c.volumeBindingMode) c.volumeBindingMode = "Immediate";
}
void csiDriver(api::storage_v1::CSIDriverSpec& s) {
  if (!s.attachRequired) s.attachRequired = true;
  for (auto* flag : {&s.podInfoOnMount, &s.storageCapacity, &s.requiresRepublish, &s.seLinuxMount}) {
    if (!*flag) *flag = false;
  }
  if (!s.fsGroupPolicy) s.fsGroupPolicy = "ReadWriteOnceWithFSType";
  if (s.volumeLifecycleModes.empty()) s.volumeLifecycleModes.push_back("Persistent");
}

void policyPort(api::networking_v1::NetworkPolicyPort& p) {
  if (!p.protocol) p.protocol = "TCP";
}
void networkPolicy(api::networking_v1::NetworkPolicySpec& s) {
  if (!s.policyTypes.empty()) return;
  s.policyTypes.push_back("Ingress");
  if (!s.egress.empty()) s.policyTypes.push_back("Egress");
}
void ingressClass(api::networking_v1::IngressClassSpec& s) {
  if (s.parameters && !s.parameters->scope) s.parameters->scope = "Cluster";
}

namespace admission = api::admissionregistration_v1;
template <typename Webhook>
void webhook(Webhook& w) {
  if (!w.failurePolicy) w.failurePolicy = "Fail";
  if (!w.matchPolicy) w.matchPolicy = "Equivalent";
  w.namespaceSelector.ensure();
  w.objectSelector.ensure();
  if (!w.timeoutSeconds) w.timeoutSeconds = 10;
}
void mutatingWebhook(admission::MutatingWebhook& w) {
  webhook(w);
  if (!w.reinvocationPolicy) w.reinvocationPolicy = "Never";
}
template <typename Rule>
void admissionRule(Rule& r) {
  if (!r.scope) r.scope = "*";
}
void webhookService(admission::ServiceReference& s) {
  if (!s.port) s.port = 443;
}
template <typename Policy>
void failurePolicy(Policy& p) {
  if (!p.failurePolicy) p.failurePolicy = "Fail";
}
void matchResources(admission::MatchResources& m) {
  if (!m.matchPolicy) m.matchPolicy = "Equivalent";
  m.namespaceSelector.ensure();
  m.objectSelector.ensure();
}
void aggregatedService(api::apiregistration_v1::ServiceReference& s) {
  if (!s.port) s.port = 443;
}

namespace flow = api::flowcontrol_v1;
void flowSchema(flow::FlowSchemaSpec& s) {
  if (s.matchingPrecedence == 0) s.matchingPrecedence = 1000;
}
void exemptLevel(flow::ExemptPriorityLevelConfiguration& c) {
  if (!c.nominalConcurrencyShares) c.nominalConcurrencyShares = 0;
  if (!c.lendablePercent) c.lendablePercent = 0;
}
void limitedLevel(flow::LimitedPriorityLevelConfiguration& c) {
  if (!c.nominalConcurrencyShares) c.nominalConcurrencyShares = 30;
  if (!c.lendablePercent) c.lendablePercent = 0;
}
void queuing(flow::QueuingConfiguration& c) {
  if (c.handSize == 0) c.handSize = 8;
  if (c.queues == 0) c.queues = 64;
  if (c.queueLengthLimit == 0) c.queueLengthLimit = 50;
}

template <typename Request>
void deviceRequest(Request& r) {
  if (r.allocationMode.empty()) r.allocationMode = "ExactCount";
  if (r.allocationMode == "ExactCount" && r.count == 0) r.count = 1;
}

constexpr TypeDefault kRules[] = {
    rule<api::authentication_v1::TokenRequestSpec, tokenRequest>(),
    rule<api::rbac_v1::RoleRef, roleRef>(),
    rule<api::rbac_v1::Subject, subject>(),
    rule<api::discovery_v1::EndpointPort, slicePort>(),
    rule<api::scheduling_v1::PriorityClass, priorityClass>(),
    rule<api::storage_v1::StorageClass, storageClass>(),
    rule<api::storage_v1::CSIDriverSpec, csiDriver>(),
    rule<api::networking_v1::NetworkPolicyPort, policyPort>(),
    rule<api::networking_v1::NetworkPolicySpec, networkPolicy>(),
    rule<api::networking_v1::IngressClassSpec, ingressClass>(),
    rule<admission::ValidatingWebhook, webhook<admission::ValidatingWebhook>>(),
    rule<admission::MutatingWebhook, mutatingWebhook>(),
    rule<admission::RuleWithOperations, admissionRule<admission::RuleWithOperations>>(),
    rule<admission::NamedRuleWithOperations, admissionRule<admission::NamedRuleWithOperations>>(),
    rule<admission::ServiceReference, webhookService>(),
    rule<admission::ValidatingAdmissionPolicySpec, failurePolicy<admission::ValidatingAdmissionPolicySpec>>(),
    rule<admission::MutatingAdmissionPolicySpec, failurePolicy<admission::MutatingAdmissionPolicySpec>>(),
    rule<admission::MatchResources, matchResources>(),
    rule<api::apiregistration_v1::ServiceReference, aggregatedService>(),
    rule<flow::FlowSchemaSpec, flowSchema>(),
    rule<flow::ExemptPriorityLevelConfiguration, exemptLevel>(),
    rule<flow::LimitedPriorityLevelConfiguration, limitedLevel>(),
    rule<flow::QueuingConfiguration, queuing>(),
    rule<api::resource_v1::ExactDeviceRequest, deviceRequest<api::resource_v1::ExactDeviceRequest>>(),
    rule<api::resource_v1::DeviceSubRequest, deviceRequest<api::resource_v1::DeviceSubRequest>>(),
};

}  // namespace

std::span<const TypeDefault> otherDefaults() {
  return kRules;
}

}  // namespace km::registry
