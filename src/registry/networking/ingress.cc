// Ingresses and IngressClasses.
#include <fmt/format.h>

#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"
#include "api/types/networking_v1.h"
#include "registry/ip.h"
#include "registry/kinds.h"
#include "registry/networking/networking_rules.h"
#include "registry/other_columns.h"
#include "registry/rules.h"

namespace km::registry {

namespace net = api::networking_v1;

namespace {

constexpr std::string_view kClassAnnotation = "kubernetes.io/ingress.class";

// What an update may keep though a new ingress may not have it.
struct Leniency {
  bool secretNames = false, wildcardRules = false;
};

void validateResourceRef(const api::core_v1::TypedLocalObjectReference& r, const Path& p, FieldErrors& errors) {
  if (r.apiGroup) dnsSubdomain(*r.apiGroup, p.child("apiGroup"), errors);
  requiredSegment(r.kind, p.child("kind"), errors);
  requiredSegment(r.name, p.child("name"), errors);
}

void validateBackend(const net::IngressBackend& b, const Path& p, FieldErrors& errors) {
  if (b.resource && b.service) return errors.invalid(p, "", "cannot set both resource and service backends");
  if (b.resource) return validateResourceRef(*b.resource, p.child("resource"), errors);
  if (!b.service) return errors.invalid(p, "", "resource or service backend is required");
  Path name = p.child("service.name"), port = p.child("service.port");
  if (b.service->name.empty()) {
    errors.required(name, "");
  } else {
    dnsLabel(b.service->name, name, errors);
  }
  const auto& wanted = b.service->port;
  if (!wanted.name.empty() && wanted.number != 0) {
    errors.invalid(p, "", "cannot set both port name & port number");
  } else if (!wanted.name.empty()) {
    errors.each(port.child("name"), wanted.name.view(), api::isValidPortName(wanted.name));
  } else if (wanted.number != 0) {
    errors.each(port.child("number"), wanted.number, api::isValidPortNum(wanted.number));
  } else {
    errors.required(p, "port name or number is required");
  }
}

void validatePath(const net::HTTPIngressPath& h, const Path& p, FieldErrors& errors) {
  if (!h.pathType) return errors.required(p.child("pathType"), "pathType must be specified");
  std::string_view type = *h.pathType, path = h.path;
  Path at = p.child("path");
  bool absolute = path.starts_with('/');
  if (type == "Exact" || type == "Prefix") {
    if (!absolute) errors.invalid(at, path, "must be an absolute path");
    for (std::string_view bad : {"//", "/./", "/../", "%2f", "%2F"}) {
      if (path.find(bad) != std::string_view::npos) errors.invalid(at, path, fmt::format("must not contain '{}'", bad));
    }
    for (std::string_view bad : {"/..", "/."}) {
      if (path.ends_with(bad)) errors.invalid(at, path, fmt::format("cannot end with '{}'", bad));
    }
  } else if (type == "ImplementationSpecific") {
    if (!path.empty() && !absolute) errors.invalid(at, path, "must be an absolute path");
  } else {
    errors.notSupported(p.child("pathType"), type, {"Exact", "ImplementationSpecific", "Prefix"});
  }
  validateBackend(h.backend, p.child("backend"), errors);
}

void validateHttp(const net::HTTPIngressRuleValue& h, const Path& p, FieldErrors& errors) {
  if (h.paths.empty()) errors.required(p.child("paths"), "");
  for (size_t i = 0; i < h.paths.size(); i++) validatePath(h.paths[i], p.child("paths").index(i), errors);
}

bool isWildcard(std::string_view host) { return host.find('*') != std::string_view::npos; }

void validateHost(std::string_view host, const Path& p, FieldErrors& errors) {
  errors.each(p, host, isWildcard(host) ? api::isWildcardDns1123Subdomain(host) : api::isDns1123Subdomain(host));
}

void validateSpec(const net::IngressSpec& s, const Leniency& lenient, FieldErrors& errors) {
  Path p("spec");
  if (s.rules.empty() && !s.defaultBackend) {
    errors.invalid(p, BadValue::raw("null"), "either `defaultBackend` or `rules` must be specified");
  }
  if (s.defaultBackend) validateBackend(*s.defaultBackend, p.child("defaultBackend"), errors);
  for (size_t i = 0; i < s.rules.size(); i++) {
    Path at = p.child("rules").index(i);
    std::string_view host = s.rules[i].host;
    if (!host.empty()) {
      if (Ip::parseSloppy(host)) errors.invalid(at.child("host"), host, "must be a DNS name, not an IP address");
      validateHost(host, at.child("host"), errors);
    }
    if (s.rules[i].http && !(isWildcard(host) && lenient.wildcardRules)) validateHttp(*s.rules[i].http, at.child("http"), errors);
  }
  for (size_t i = 0; i < s.tls.size(); i++) {
    Path at = p.child("tls").index(i);
    for (size_t k = 0; k < s.tls[i].hosts.size(); k++) validateHost(s.tls[i].hosts[k], at.child("hosts").index(k), errors);
    if (!lenient.secretNames && !s.tls[i].secretName.empty()) dnsSubdomain(s.tls[i].secretName, at.child("secretName"), errors);
  }
  if (s.ingressClassName) dnsSubdomain(*s.ingressClassName, p.child("ingressClassName"), errors);
}

Leniency leniencyOf(const net::IngressSpec& old) {
  Leniency l;
  for (const auto& t : old.tls) {
    l.secretNames = l.secretNames || (!t.secretName.empty() && !api::isDns1123Subdomain(t.secretName).empty());
  }
  for (const auto& r : old.rules) {
    FieldErrors bad;
    if (isWildcard(r.host) && r.http) validateHttp(*r.http, Path(), bad);
    l.wildcardRules = l.wildcardRules || !bad.empty();
  }
  return l;
}

class IngressStrategy : public OtherStrategy {
 public:
  void validateCreate(const Context&, const api::Object& o, FieldErrors& errors) const override {
    const auto& i = o.as<net::Ingress>();
    validateSpec(i.spec, {}, errors);
    const codec::String* a = i.metadata.annotations.find(kClassAnnotation);
    if (a != nullptr && i.spec.ingressClassName && !(*a == *i.spec.ingressClassName)) {
      errors.invalid(Path("annotations").child(kClassAnnotation), a->view(), "must match `ingressClassName` when both are specified");
    }
  }
  void validateUpdate(const Context&, const api::Object& o, const api::Object& old, FieldErrors& errors) const override {
    validateSpec(o.as<net::Ingress>().spec, leniencyOf(old.as<net::Ingress>().spec), errors);
  }
  void validateStatusUpdate(const Context&, const api::Object& o, const api::Object& old, FieldErrors& errors) const override {
    std::vector<std::string> known;
    for (const auto& i : old.as<net::Ingress>().status.loadBalancer.ingress) {
      if (!i.ip.empty()) known.push_back(i.ip.str());
    }
    const auto& list = o.as<net::Ingress>().status.loadBalancer.ingress;
    for (size_t i = 0; i < list.size(); i++) {
      Path p = Path("status.loadBalancer.ingress").index(i);
      if (!list[i].ip.empty()) validateLegacyIp(p.child("ip"), list[i].ip, errors, known);
      if (list[i].hostname.empty()) continue;
      dnsSubdomain(list[i].hostname, p.child("hostname"), errors);
      if (Ip::parseSloppy(list[i].hostname)) {
        errors.invalid(p.child("hostname"), list[i].hostname.view(), "must be a DNS name, not an IP address");
      }
    }
  }
  void warnings(const Context& c, const api::Object& o, const api::Object* old) const override {
    const auto& i = o.as<net::Ingress>();
    if (c.subresource == "status") {
      for (size_t k = 0; k < i.status.loadBalancer.ingress.size(); k++) {
        std::string_view ip = i.status.loadBalancer.ingress[k].ip;
        if (ip.empty()) continue;
        for (auto& w : ipWarnings(Path("status.loadBalancer.ingress").index(k).child("ip"), ip)) c.warn(std::move(w));
      }
      return;
    }
    if (old == nullptr && i.metadata.annotations.contains(kClassAnnotation)) {
      c.warn("annotation \"kubernetes.io/ingress.class\" is deprecated, please use 'spec.ingressClassName' instead");
    }
  }
};

class IngressClassStrategy : public OtherStrategy {
 public:
  void validateCreate(const Context&, const api::Object& o, FieldErrors& errors) const override {
    const auto& s = o.as<net::IngressClass>().spec;
    Path p("spec");
    if (s.controller.size() > 250) errors.tooLong(p.child("controller"), 250);
    validateDomainPrefixedPath(s.controller, p.child("controller"), errors);
    if (s.parameters) validateParameters(*s.parameters, p.child("parameters"), errors);
  }
  void validateUpdate(const Context& c, const api::Object& o, const api::Object& old, FieldErrors& errors) const override {
    const auto& controller = o.as<net::IngressClass>().spec.controller;
    immutable(controller == old.as<net::IngressClass>().spec.controller, Path("spec.controller"), controller.view(), errors);
    validateCreate(c, o, errors);
  }

 private:
  static void validateParameters(const net::IngressClassParametersReference& r, const Path& p, FieldErrors& errors) {
    if (r.apiGroup) dnsSubdomain(*r.apiGroup, p.child("apiGroup"), errors);
    requiredSegment(r.kind, p.child("kind"), errors);
    requiredSegment(r.name, p.child("name"), errors);
    if (!r.scope) return errors.required(p.child("scope"), "");
    if (*r.scope == "Namespace") {
      if (!r.namespace_) {
        errors.required(p.child("namespace"), "`parameters.scope` is set to 'Namespace'");
      } else {
        dnsLabel(*r.namespace_, p.child("namespace"), errors);
      }
    } else if (*r.scope == "Cluster") {
      if (r.namespace_) errors.forbidden(p.child("namespace"), "`parameters.scope` is set to 'Cluster'");
    } else {
      errors.notSupported(p.child("scope"), r.scope->view(), {"Cluster", "Namespace"});
    }
  }
};

}  // namespace

std::unique_ptr<Strategy> makeIngress() { return std::make_unique<IngressStrategy>(); }
std::unique_ptr<Strategy> makeIngressClass() { return std::make_unique<IngressClassStrategy>(); }

}  // namespace km::registry
