// Services: what depends on the type, warnings, columns. Validation is service_validation.cc's. Addresses and ports are given by service_allocator.h.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"
#include "base/strings.h"
#include "registry/cells.h"
#include "registry/core/service_rules.h"
#include "registry/ip.h"
#include "registry/kinds.h"
#include "registry/metadata.h"

namespace km::registry {

namespace v1 = api::core_v1;
using v1::Service;

namespace {

template <typename T>
bool same(const T& a, const T& b) {
  return a == b;
}

// Clears what only the old type had, where the client left it as it was.
void dropTypeFields(Service& s, const Service& old) {
  auto& now = s.spec;
  const auto& was = old.spec;
  if (needsClusterIp(old) && !needsClusterIp(s)) {
    if (same(now.clusterIP, was.clusterIP) && same(now.clusterIPs, was.clusterIPs)) {
      now.clusterIP.clear();
      now.clusterIPs.clear();
    }
    if (same(now.ipFamilies, was.ipFamilies)) now.ipFamilies.clear();
    if (same(now.ipFamilyPolicy, was.ipFamilyPolicy)) now.ipFamilyPolicy.reset();
    if (same(now.internalTrafficPolicy, was.internalTrafficPolicy)) now.internalTrafficPolicy.reset();
  }
  if (needsNodePort(old) && !needsNodePort(s)) {
    bool subset = std::all_of(now.ports.begin(), now.ports.end(), [&](const v1::ServicePort& p) {
      return p.nodePort == 0 ||
             std::any_of(was.ports.begin(), was.ports.end(), [&](const v1::ServicePort& o) { return o.nodePort == p.nodePort; });
    });
    if (subset) {
      for (auto& p : now.ports) p.nodePort = 0;
    }
  }
  if (needsHealthCheckPort(old) && !needsHealthCheckPort(s) && now.healthCheckNodePort == was.healthCheckNodePort) {
    now.healthCheckNodePort = 0;
  }
  bool balanced = now.type == "LoadBalancer", wasBalanced = was.type == "LoadBalancer";
  if (wasBalanced && !balanced) {
    if (now.allocateLoadBalancerNodePorts && same(now.allocateLoadBalancerNodePorts, was.allocateLoadBalancerNodePorts)) {
      now.allocateLoadBalancerNodePorts.reset();
    }
    if (same(now.loadBalancerClass, was.loadBalancerClass)) now.loadBalancerClass.reset();
  }
  if (isExternallyAccessible(old) && !isExternallyAccessible(s) && same(now.externalTrafficPolicy, was.externalTrafficPolicy)) {
    now.externalTrafficPolicy.clear();
  }
  if (!balanced) s.status.loadBalancer.ingress.clear();
}

std::string externalText(const Service& s) {
  if (s.spec.type == "ExternalName") return s.spec.externalName.str();
  std::vector<std::string> out;
  if (s.spec.type == "LoadBalancer") {
    std::set<std::string> ingress;
    for (const auto& i : s.status.loadBalancer.ingress) {
      if (!i.ip.empty()) {
        ingress.insert(i.ip.str());
      } else if (!i.hostname.empty()) {
        ingress.insert(i.hostname.str());
      }
    }
    out.assign(ingress.begin(), ingress.end());
  }
  for (const auto& ip : s.spec.externalIPs) out.push_back(ip.str());
  if (!out.empty()) return joined(out, ",");
  return s.spec.type == "LoadBalancer" ? "<pending>" : isIn(s.spec.type, {"ClusterIP", "NodePort"}) ? "<none>" : "<unknown>";
}

std::string portsText(const Service& s) {
  std::vector<std::string> out;
  for (const auto& p : s.spec.ports) {
    out.push_back(p.nodePort > 0 ? fmt::format("{}:{}/{}", p.port, p.nodePort, p.protocol) : fmt::format("{}/{}", p.port, p.protocol));
  }
  return out.empty() ? "<none>" : joined(out, ",");
}

void warnOf(const Context& c, const Service& s) {
  const auto& spec = s.spec;
  auto all = [&](std::vector<std::string> list) {
    for (auto& w : list) c.warn(std::move(w));
  };
  if (s.metadata.annotations.contains("service.kubernetes.io/topology-aware-hints")) {
    c.warn("annotation service.kubernetes.io/topology-aware-hints is deprecated, please use service.kubernetes.io/topology-mode instead");
  }
  bool headless = isHeadless(s), external = spec.type == "ExternalName";
  for (size_t i = 0; !headless && i < spec.clusterIPs.size(); i++) all(ipWarnings(Path("spec.clusterIPs").index(i), spec.clusterIPs[i]));
  if (headless) {
    if (!spec.loadBalancerIP.empty()) c.warn("spec.loadBalancerIP is ignored for headless services");
    if (!spec.externalIPs.empty()) c.warn("spec.externalIPs is ignored for headless services");
    if (spec.sessionAffinity != "None") c.warn("spec.SessionAffinity is ignored for headless services");
  }
  for (size_t i = 0; i < spec.externalIPs.size(); i++) all(ipWarnings(Path("spec.externalIPs").index(i), spec.externalIPs[i]));
  if (!spec.externalIPs.empty() && !headless && !external) {
    c.warn("spec.externalIPs is deprecated and may no longer be implemented in some clusters");
  }
  if (!spec.loadBalancerIP.empty()) all(ipWarnings(Path("spec.loadBalancerIP"), spec.loadBalancerIP));
  for (size_t i = 0; i < spec.loadBalancerSourceRanges.size(); i++) {
    all(cidrWarnings(Path("spec.loadBalancerSourceRanges").index(i), spec.loadBalancerSourceRanges[i]));
  }
  if (external && !spec.externalIPs.empty()) c.warn("spec.externalIPs is ignored when spec.type is \"ExternalName\"");
  if (!external && !spec.externalName.empty()) c.warn("spec.externalName is ignored when spec.type is not \"ExternalName\"");
  if (spec.trafficDistribution && *spec.trafficDistribution == "PreferClose") {
    c.warn("spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\"");
  }
}

class ServiceStrategy : public Strategy {
 public:
  void prepareForUpdate(const Context& c, api::Object& o, const api::Object& old) const override {
    if (c.subresource == "status") {
      copyPart(o, old, "spec");
      return;
    }
    copyPart(o, old, "status");
    dropTypeFields(o.as<Service>(), old.as<Service>());
  }
  void validateCreate(const Context&, const api::Object& o, FieldErrors& errors) const override {
    validateService(o.as<Service>(), nullptr, errors);
  }
  void validateUpdate(const Context&, const api::Object& o, const api::Object& old, FieldErrors& errors) const override {
    const auto& s = o.as<Service>();
    const auto& was = old.as<Service>();
    validateKept(s, was, errors);
    validateLoadBalancerClass(s, &was, errors);
    if (needsHealthCheckPort(s) && needsHealthCheckPort(was) && s.spec.healthCheckNodePort != was.spec.healthCheckNodePort) {
      errors.forbidden(Path("spec.healthCheckNodePort"), "field is immutable");
    }
    validateService(s, &was, errors);
  }
  void validateStatusUpdate(const Context&, const api::Object& o, const api::Object& old, FieldErrors& errors) const override {
    const auto& s = o.as<Service>();
    Path p("status.loadBalancer.ingress");
    const auto& list = s.status.loadBalancer.ingress;
    if (s.spec.type != "LoadBalancer" && !list.empty()) {
      return errors.forbidden(p, "may only be used when `spec.type` is 'LoadBalancer'");
    }
    std::vector<std::string> known;
    for (const auto& i : old.as<Service>().status.loadBalancer.ingress) known.push_back(i.ip.str());
    for (size_t i = 0; i < list.size(); i++) {
      Path at = p.index(i);
      const auto& in = list[i];
      if (!in.ip.empty()) validateLegacyIp(at.child("ip"), in.ip, errors, known);
      if (!in.ipMode) {
        if (!in.ip.empty()) errors.required(at.child("ipMode"), "must be specified when `ip` is set");
      } else if (in.ip.empty()) {
        errors.forbidden(at.child("ipMode"), "may not be specified when `ip` is not set");
      } else if (!isIn(*in.ipMode, {"Proxy", "VIP"})) {
        errors.notSupported(at.child("ipMode"), in.ipMode->view(), {"Proxy", "VIP"});
      }
      if (in.hostname.empty()) continue;
      dnsSubdomain(in.hostname, at.child("hostname"), errors);
      if (Ip::parseSloppy(in.hostname)) {
        errors.invalid(at.child("hostname"), in.hostname.view(), "must be a DNS name, not an IP address");
      }
    }
  }
  void warnings(const Context& c, const api::Object& o, const api::Object*) const override {
    const auto& s = o.as<Service>();
    if (c.subresource == "status") {
      const auto& list = s.status.loadBalancer.ingress;
      for (size_t i = 0; i < list.size(); i++) {
        for (auto& w : ipWarnings(Path("status.loadBalancer.ingress").index(i), list[i].ip)) c.warn(std::move(w));
      }
      return;
    }
    warnOf(c, s);
  }
  api::Messages validateName(std::string_view name, bool prefix) const override {
    if (prefix && name.ends_with('-')) name.remove_suffix(1);
    return api::isDns1123Label(name);
  }
  bool hasGeneration() const override { return false; }
  bool allowCreateOnUpdate() const override { return true; }
  bool returnsDeletedObject() const override { return true; }
  std::vector<std::string> cells(const api::Resource&, const api::Object& o, WallTime now) const override {
    const auto& s = o.as<Service>();
    return {textCell(o.name()),
            textCell(s.spec.type),
            textCell(s.spec.clusterIPs.empty() ? "<none>" : s.spec.clusterIPs[0].view()),
            textCell(externalText(s)),
            textCell(portsText(s)),
            ageCell(o, now),
            textCell(labelsText(s.spec.selector))};
  }
};

}  // namespace

std::unique_ptr<Strategy> makeService() { return std::make_unique<ServiceStrategy>(); }

}  // namespace km::registry
