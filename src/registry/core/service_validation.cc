// What services must be: by type, by port, and against what they were.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"
#include "base/strings.h"
#include "registry/core/service_rules.h"
#include "registry/ip.h"
#include "registry/metadata.h"

namespace km::registry {

namespace v1 = api::core_v1;
using v1::Service;

bool isHeadless(const Service& s) { return s.spec.clusterIPs.size() == 1 && s.spec.clusterIPs[0] == "None"; }
bool needsClusterIp(const Service& s) { return s.spec.type != "ExternalName"; }
bool needsNodePort(const Service& s) { return s.spec.type == "NodePort" || s.spec.type == "LoadBalancer"; }
bool needsHealthCheckPort(const Service& s) { return s.spec.type == "LoadBalancer" && s.spec.externalTrafficPolicy == "Local"; }
bool isExternallyAccessible(const Service& s) {
  return needsNodePort(s) || (s.spec.type == "ClusterIP" && !s.spec.externalIPs.empty());
}

void validateClusterIpFields(const Service& s, const Service* old, FieldErrors& errors) {
  if (!needsClusterIp(s)) return;
  const auto& spec = s.spec;
  Path ips("spec.clusterIPs"), families("spec.ipFamilies");
  if (!spec.clusterIP.empty()) {
    if (spec.clusterIPs.empty()) {
      errors.required(ips, "");
    } else if (!(spec.clusterIPs[0] == spec.clusterIP)) {
      errors.invalid(ips, listValue(spec.clusterIPs), "first value must match `clusterIP`");
    }
  } else if (!spec.clusterIPs.empty()) {
    errors.invalid(ips, listValue(spec.clusterIPs), "must be empty when `clusterIP` is not specified");
  }
  for (size_t i = 0; i < spec.ipFamilies.size(); i++) {
    const auto& f = spec.ipFamilies[i];
    if (!isIn(f, {"IPv4", "IPv6"})) errors.notSupported(families.index(i), f.view(), {"IPv4", "IPv6"});
    for (size_t k = 0; k < i; k++) {
      if (spec.ipFamilies[k] == f) {
        errors.duplicate(families.index(i), f.view());
        break;
      }
    }
  }
  if (spec.ipFamilyPolicy && !isIn(*spec.ipFamilyPolicy, {"PreferDualStack", "RequireDualStack", "SingleStack"})) {
    errors.notSupported(Path("spec.ipFamilyPolicy"), spec.ipFamilyPolicy->view(), {"PreferDualStack", "RequireDualStack", "SingleStack"});
  }
  std::vector<std::string> known;
  if (old != nullptr) known = strings(old->spec.clusterIPs);
  bool bad = false;
  for (size_t i = 0; i < spec.clusterIPs.size(); i++) {
    if (i == 0 && spec.clusterIPs[i] == "None") {
      if (spec.clusterIPs.size() > 1) {
        bad = true;
        errors.invalid(ips, listValue(spec.clusterIPs), "'None' must be the first and only value");
      }
      continue;
    }
    if (!validateLegacyIp(ips.index(i), spec.clusterIPs[i], errors, known)) bad = true;
  }
  if (spec.clusterIPs.size() > 2) errors.invalid(ips, listValue(spec.clusterIPs), "may only hold up to 2 values");
  if (bad) return;
  if (spec.clusterIPs.size() > 1) {
    bool four = false, six = false;
    for (const auto& text : spec.clusterIPs) {
      auto ip = Ip::parseSloppy(text);
      if (ip) (ip->is4() ? four : six) = true;
    }
    if (!four || !six) errors.invalid(ips, listValue(spec.clusterIPs), "may specify no more than one IP for each IP family");
  }
  if (isHeadless(s)) return;
  for (size_t i = 0; i < spec.clusterIPs.size() && i < spec.ipFamilies.size(); i++) {
    auto ip = Ip::parseSloppy(spec.clusterIPs[i]);
    bool is4 = ip && ip->is4();
    bool wants4 = spec.ipFamilies[i] == "IPv4";
    if ((wants4 && ip && !is4) || (spec.ipFamilies[i] == "IPv6" && is4)) {
      errors.invalid(ips.index(i), spec.clusterIPs[i].view(),
                     fmt::format("expected an {} value as indicated by `ipFamilies[{}]`", spec.ipFamilies[i], i));
    }
  }
}

namespace {

void validatePort(const v1::ServicePort& port, bool named, std::set<std::string_view>& names, const Path& p, FieldErrors& errors) {
  if (named && port.name.empty()) {
    errors.required(p.child("name"), "");
  } else if (!port.name.empty()) {
    dnsLabel(port.name, p.child("name"), errors);
    if (!names.insert(port.name.view()).second) errors.duplicate(p.child("name"), port.name.view());
  }
  errors.each(p.child("port"), port.port, api::isValidPortNum(port.port));
  oneOf(port.protocol, {"SCTP", "TCP", "UDP"}, p.child("protocol"), errors);
  if (port.targetPort.isString) {
    errors.each(p.child("targetPort"), port.targetPort.text.view(), api::isValidPortName(port.targetPort.text));
  } else {
    errors.each(p.child("targetPort"), port.targetPort.number, api::isValidPortNum(port.targetPort.number));
  }
  if (port.appProtocol) qualifiedName(*port.appProtocol, p.child("appProtocol"), errors);
}

void validateType(const Service& s, FieldErrors& errors) {
  const auto& spec = s.spec;
  if (spec.ports.empty() && !isHeadless(s) && spec.type != "ExternalName") errors.required(Path("spec.ports"), "");
  if (needsNodePort(s) && isHeadless(s)) {
    errors.invalid(Path("spec.clusterIPs").index(0), "None", fmt::format("may not be set to 'None' for {} services", spec.type));
  }
  if (spec.type != "ExternalName") return;
  constexpr std::string_view kWhy = "may not be set for ExternalName services";
  if (!spec.clusterIPs.empty()) errors.forbidden(Path("spec.clusterIPs"), kWhy);
  if (!spec.ipFamilies.empty()) errors.forbidden(Path("spec.ipFamilies"), kWhy);
  if (spec.ipFamilyPolicy) errors.forbidden(Path("spec.ipFamilyPolicy"), kWhy);
  std::string_view name = spec.externalName;
  if (name.ends_with('.')) name.remove_suffix(1);
  if (name.empty()) {
    errors.required(Path("spec.externalName"), "");
  } else {
    dnsSubdomain(name, Path("spec.externalName"), errors);
  }
}

void validateAffinity(const v1::ServiceSpec& s, FieldErrors& errors) {
  constexpr int kMaxSeconds = 86400;
  oneOf(s.sessionAffinity, {"ClientIP", "None"}, Path("spec.sessionAffinity"), errors);
  Path config("spec.sessionAffinityConfig");
  const auto& c = s.sessionAffinityConfig;
  if (s.sessionAffinity == "ClientIP") {
    constexpr std::string_view kWhen = "when session affinity type is ClientIP";
    if (!c) return errors.required(config, kWhen);
    if (!c->clientIP) return errors.required(config.child("clientIP"), kWhen);
    Path seconds = config.child("clientIP").child("timeoutSeconds");
    if (!c->clientIP->timeoutSeconds) return errors.required(seconds, kWhen);
    int32_t n = *c->clientIP->timeoutSeconds;
    if (n <= 0 || n > kMaxSeconds) errors.invalid(seconds, n, "must be greater than 0 and less than 86400");
  } else if (s.sessionAffinity == "None" && c) {
    errors.forbidden(config, "must not be set when session affinity is None");
  }
}

void validatePortNumbers(const v1::ServiceSpec& s, FieldErrors& errors) {
  Path ports("spec.ports");
  if (s.type == "ClusterIP") {
    for (size_t i = 0; i < s.ports.size(); i++) {
      if (s.ports[i].nodePort != 0) errors.forbidden(ports.index(i).child("nodePort"), "may not be used when `type` is 'ClusterIP'");
    }
  }
  for (size_t i = 0; i < s.ports.size(); i++) {
    for (size_t k = 0; k < i && s.ports[i].nodePort != 0; k++) {
      if (s.ports[k].nodePort == s.ports[i].nodePort && s.ports[k].protocol == s.ports[i].protocol) {
        errors.duplicate(ports.index(i).child("nodePort"), s.ports[i].nodePort);
        break;
      }
    }
  }
  for (size_t i = 0; i < s.ports.size(); i++) {
    for (size_t k = 0; k < i; k++) {
      if (s.ports[k].port == s.ports[i].port && s.ports[k].protocol == s.ports[i].protocol) {
        v1::ServicePort key;
        key.protocol = s.ports[i].protocol;
        key.port = s.ports[i].port;
        errors.duplicate(ports.index(i), structValue(key));
        break;
      }
    }
  }
}

void validateSourceRanges(const Service& s, const Service* old, FieldErrors& errors) {
  constexpr std::string_view kAnnotation = "service.beta.kubernetes.io/load-balancer-source-ranges";
  constexpr std::string_view kOnly = "may only be used when `type` is 'LoadBalancer'";
  bool balanced = s.spec.type == "LoadBalancer";
  if (!s.spec.loadBalancerSourceRanges.empty()) {
    Path p("spec.LoadBalancerSourceRanges");
    if (!balanced) errors.forbidden(p, kOnly);
    std::vector<std::string> known;
    if (old != nullptr) {
      for (const auto& v : old->spec.loadBalancerSourceRanges) known.emplace_back(trimSpace(v));
    }
    const auto& list = s.spec.loadBalancerSourceRanges;
    for (size_t i = 0; i < list.size(); i++) validateLegacyCidr(p.index(i), trimSpace(list[i]), errors, known);
  } else if (const codec::String* text = s.metadata.annotations.find(kAnnotation)) {
    Path p = Path("metadata.annotations").key(kAnnotation);
    if (!balanced) errors.forbidden(p, kOnly);
    if (old != nullptr && old->metadata.annotations.get(kAnnotation) == *text) return;
    std::string_view all = trimSpace(*text);
    if (all.empty()) return;
    for (std::string_view part : split(all, ',')) validateLegacyCidr(p, trimSpace(part), errors);
  }
}

}  // namespace

void validateLoadBalancerClass(const Service& s, const Service* old, FieldErrors& errors) {
  Path p("spec.loadBalancerClass");
  const auto& c = s.spec.loadBalancerClass;
  bool balanced = s.spec.type == "LoadBalancer";
  if (old != nullptr && balanced && old->spec.type == "LoadBalancer" && !(old->spec.loadBalancerClass == c)) {
    errors.invalid(p, c ? BadValue(c->view()) : BadValue::raw("null"), "may not change once set");
  }
  if (!c) return;
  if (balanced) {
    qualifiedName(*c, p, errors);
  } else {
    errors.forbidden(p, "may only be used when `type` is 'LoadBalancer'");
  }
}

namespace {

void validateTraffic(const Service& s, FieldErrors& errors) {
  const auto& spec = s.spec;
  Path external("spec.externalTrafficPolicy"), health("spec.healthCheckNodePort"), internal("spec.internalTrafficPolicy");
  if (!isExternallyAccessible(s)) {
    if (!spec.externalTrafficPolicy.empty()) {
      errors.invalid(external, spec.externalTrafficPolicy.view(), "may only be set for externally-accessible services");
    }
  } else {
    oneOf(spec.externalTrafficPolicy, {"Cluster", "Local"}, external, errors);
  }
  if (!needsHealthCheckPort(s)) {
    if (spec.healthCheckNodePort != 0) {
      errors.invalid(health, spec.healthCheckNodePort,
                     "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'");
    }
  } else if (spec.healthCheckNodePort == 0) {
    errors.required(health, "");
  } else {
    errors.each(health, spec.healthCheckNodePort, api::isValidPortNum(spec.healthCheckNodePort));
  }
  if (!spec.internalTrafficPolicy) {
    if (isIn(spec.type, {"NodePort", "LoadBalancer", "ClusterIP"})) errors.required(internal, "");
  } else if (!isIn(*spec.internalTrafficPolicy, {"Cluster", "Local"})) {
    errors.notSupported(internal, spec.internalTrafficPolicy->view(), {"Cluster", "Local"});
  }
  if (spec.trafficDistribution && !isIn(*spec.trafficDistribution, {"PreferClose", "PreferSameZone", "PreferSameNode"})) {
    errors.notSupported(Path("spec.trafficDistribution"), spec.trafficDistribution->view(),
                        {"PreferClose", "PreferSameZone", "PreferSameNode"});
  }
}

}  // namespace

void validateService(const Service& s, const Service* old, FieldErrors& errors) {
  constexpr std::string_view kMode = "service.kubernetes.io/topology-mode", kHints = "service.kubernetes.io/topology-aware-hints";
  const codec::String* mode = s.metadata.annotations.find(kMode);
  const codec::String* hints = s.metadata.annotations.find(kHints);
  if (mode != nullptr && hints != nullptr && !(*mode == *hints)) {
    errors.invalid(Path("metadata.annotations").key(kMode), mode->view(),
                   fmt::format("must match annotations[{}] when both are specified", kHints));
  }
  validateType(s, errors);
  std::set<std::string_view> names;
  for (size_t i = 0; i < s.spec.ports.size(); i++) {
    validatePort(s.spec.ports[i], s.spec.ports.size() > 1, names, Path("spec.ports").index(i), errors);
  }
  validateLabels(s.spec.selector, Path("spec.selector"), errors);
  validateAffinity(s.spec, errors);
  validateClusterIpFields(s, old, errors);
  std::vector<std::string> known;
  if (old != nullptr) known = strings(old->spec.externalIPs);
  for (size_t i = 0; i < s.spec.externalIPs.size(); i++) {
    Path p = Path("spec.externalIPs").index(i);
    if (validateLegacyIp(p, s.spec.externalIPs[i], errors, known)) validateEndpointIp(p, s.spec.externalIPs[i], errors);
  }
  oneOf(s.spec.type, {"ClusterIP", "ExternalName", "LoadBalancer", "NodePort"}, Path("spec.type"), errors);
  validatePortNumbers(s.spec, errors);
  validateSourceRanges(s, old, errors);
  if (s.spec.allocateLoadBalancerNodePorts && s.spec.type != "LoadBalancer") {
    errors.forbidden(Path("spec.allocateLoadBalancerNodePorts"), "may only be used when `type` is 'LoadBalancer'");
  }
  if (s.spec.type == "LoadBalancer" && !s.spec.allocateLoadBalancerNodePorts) {
    errors.required(Path("allocateLoadBalancerNodePorts"), "");
  }
  validateLoadBalancerClass(s, nullptr, errors);
  validateTraffic(s, errors);
}

// What was given once stays: a second family may come and go, the first may not.
void validateKept(const Service& s, const Service& old, FieldErrors& errors) {
  if (!needsClusterIp(s) || !needsClusterIp(old)) return;
  bool headless = isHeadless(s), wasHeadless = isHeadless(old);
  const auto& now = s.spec.clusterIPs;
  const auto& was = old.spec.clusterIPs;
  Path first = Path("spec.clusterIPs").index(0), policy("spec.ipFamilyPolicy");
  BadValue policyValue = s.spec.ipFamilyPolicy ? BadValue(s.spec.ipFamilyPolicy->view()) : BadValue::raw("null");
  bool single = s.spec.ipFamilyPolicy && *s.spec.ipFamilyPolicy == "SingleStack";
  if (!headless || !wasHeadless) {
    if (was.size() == now.size()) {
      for (size_t i = 0; i < was.size(); i++) {
        if (!(was[i] == now[i])) errors.invalid(Path("spec.clusterIPs").index(i), listValue(now), "may not change once set");
      }
    } else if (was.size() > now.size()) {
      if (now.empty()) {
        errors.invalid(first, listValue(now), "primary clusterIP can not be unset");
      } else if (!(now[0] == was[0])) {
        errors.invalid(first, listValue(now), "may not change once set");
      }
      if (now.size() == 1 && !single) {
        errors.invalid(policy, policyValue, "must be set to 'SingleStack' when releasing the secondary clusterIP");
      }
    } else if (!was.empty() && !(now[0] == was[0])) {
      errors.invalid(first, listValue(now), "may not change once set");
    }
  }
  if (headless || wasHeadless) return;
  const auto& families = s.spec.ipFamilies;
  const auto& before = old.spec.ipFamilies;
  Path family = Path("spec.ipFamilies").index(0);
  if (before.size() == families.size()) {
    for (size_t i = 0; i < before.size(); i++) {
      if (!(before[i] == families[i])) errors.invalid(family, listValue(families), "may not change once set");
    }
  } else if (!before.empty() && !families.empty() && !(before[0] == families[0])) {
    errors.invalid(family, listValue(now), "may not change once set");
  }
}

}  // namespace km::registry
