// NetworkPolicies, ServiceCIDRs, IPAddresses.
#include "api/types/meta_v1.h"
#include "api/types/networking_v1.h"
#include "codec/ops.h"
#include "registry/ip.h"
#include "registry/kinds.h"
#include "registry/networking/networking_rules.h"
#include "registry/other_columns.h"

namespace km::registry {

namespace net = api::networking_v1;

void requiredSegment(std::string_view value, const Path& p, FieldErrors& errors) {
  if (value.empty()) return errors.required(p, "");
  errors.each(p, value, api::isValidPathSegmentName(value));
}

void validateDomainPrefixedPath(std::string_view value, const Path& p, FieldErrors& errors) {
  if (value.empty()) return errors.required(p, "");
  size_t slash = value.find('/');
  if (slash == std::string_view::npos || slash == 0 || slash + 1 == value.size()) {
    return errors.invalid(p, value, "must be a domain-prefixed path (such as \"acme.io/foo\")");
  }
  std::string_view host = value.substr(0, slash), path = value.substr(slash + 1);
  for (const std::string& m : api::isDns1123Subdomain(host)) errors.invalid(p, host, m);
  auto allowed = [](char c) {
    bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    return word || std::string_view("/-._~%!$&'()*+,;=:").find(c) != std::string_view::npos;
  };
  if (!std::all_of(path.begin(), path.end(), allowed)) {
    errors.invalid(p, path, "Invalid path (regex used for validation is '[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')");
  }
}

namespace {

// --- network policies ---------------------------------------------------------------------------------

void validatePort(const net::NetworkPolicyPort& port, const Path& p, FieldErrors& errors) {
  if (port.protocol && !isIn(*port.protocol, {"TCP", "UDP", "SCTP"})) {
    errors.notSupported(p.child("protocol"), port.protocol->view(), {"TCP", "UDP", "SCTP"});
  }
  Path end = p.child("endPort");
  if (!port.port) {
    if (port.endPort) errors.invalid(end, *port.endPort, "may not be specified when `port` is not specified");
  } else if (port.port->isString) {
    if (port.endPort) errors.invalid(end, *port.endPort, "may not be specified when `port` is non-numeric");
    errors.each(p.child("port"), port.port->text.view(), api::isValidPortName(port.port->text));
  } else {
    errors.each(p.child("port"), port.port->number, api::isValidPortNum(port.port->number));
    if (!port.endPort) return;
    if (*port.endPort < port.port->number) errors.invalid(end, port.port->number, "must be greater than or equal to `port`");
    errors.each(end, *port.endPort, api::isValidPortNum(*port.endPort));
  }
}

struct PolicyContext {
  bool lenientSelectors = false;
  std::vector<std::string> known;  // prefixes of the old policy
};

void validateIpBlock(const net::IPBlock& b, const PolicyContext& c, const Path& p, FieldErrors& errors) {
  if (b.cidr.empty()) return errors.required(p.child("cidr"), "");
  validateLegacyCidr(p.child("cidr"), b.cidr, errors, c.known);
  auto whole = Cidr::parseSloppy(b.cidr);
  if (!whole) return;
  for (size_t i = 0; i < b.except.size(); i++) {
    Path at = p.child("except").index(i);
    validateLegacyCidr(at, b.except[i], errors, c.known);
    auto part = Cidr::parseSloppy(b.except[i]);
    if (!part) continue;
    if (whole->is4() != part->is4() || !whole->contains(part->network) || whole->bits >= part->bits) {
      errors.invalid(at, b.except[i].view(), "must be a strict subset of `cidr`");
    }
  }
}

void validatePeer(const net::NetworkPolicyPeer& peer, const PolicyContext& c, const Path& p, FieldErrors& errors) {
  if (peer.podSelector) validateLabelSelector(*peer.podSelector, p.child("podSelector"), errors, c.lenientSelectors);
  if (peer.namespaceSelector) validateLabelSelector(*peer.namespaceSelector, p.child("namespaceSelector"), errors, c.lenientSelectors);
  if (peer.ipBlock) validateIpBlock(*peer.ipBlock, c, p.child("ipBlock"), errors);
  if (!peer.podSelector && !peer.namespaceSelector && !peer.ipBlock) {
    errors.required(p, "must specify a peer");
  } else if (peer.ipBlock && (peer.podSelector || peer.namespaceSelector)) {
    errors.forbidden(p, "may not specify both ipBlock and another peer");
  }
}

// Visits every IP block of a policy with its path.
template <typename Visit>
void eachIpBlock(const net::NetworkPolicySpec& s, Visit visit) {
  for (size_t i = 0; i < s.ingress.size(); i++) {
    for (size_t k = 0; k < s.ingress[i].from.size(); k++) {
      const auto& b = s.ingress[i].from[k].ipBlock;
      if (b) visit(*b, Path("spec.ingress").index(i).child("from").index(k).child("ipBlock"));
    }
  }
  for (size_t i = 0; i < s.egress.size(); i++) {
    for (size_t k = 0; k < s.egress[i].to.size(); k++) {
      const auto& b = s.egress[i].to[k].ipBlock;
      if (b) visit(*b, Path("spec.egress").index(i).child("to").index(k).child("ipBlock"));
    }
  }
}

void validatePolicy(const net::NetworkPolicySpec& s, const PolicyContext& c, FieldErrors& errors) {
  Path p("spec");
  validateLabelSelector(s.podSelector, p.child("podSelector"), errors, c.lenientSelectors);
  auto rule = [&](const auto& ports, const auto& peers, std::string_view word, const Path& at) {
    for (size_t k = 0; k < ports.size(); k++) validatePort(ports[k], at.child("ports").index(k), errors);
    for (size_t k = 0; k < peers.size(); k++) validatePeer(peers[k], c, at.child(word).index(k), errors);
  };
  for (size_t i = 0; i < s.ingress.size(); i++) rule(s.ingress[i].ports, s.ingress[i].from, "from", p.child("ingress").index(i));
  for (size_t i = 0; i < s.egress.size(); i++) rule(s.egress[i].ports, s.egress[i].to, "to", p.child("egress").index(i));
  if (s.policyTypes.size() > 2) {
    return errors.invalid(p.child("policyTypes"), listValue(s.policyTypes), "may not specify more than two policyTypes");
  }
  for (size_t i = 0; i < s.policyTypes.size(); i++) {
    if (!isIn(s.policyTypes[i], {"Ingress", "Egress"})) {
      errors.notSupported(p.child("policyTypes").index(i), s.policyTypes[i].view(), {"Ingress", "Egress"});
    }
  }
}

class NetworkPolicyStrategy : public OtherStrategy {
 public:
  void validateCreate(const Context&, const api::Object& o, FieldErrors& errors) const override {
    validatePolicy(o.as<net::NetworkPolicy>().spec, {}, errors);
  }
  void validateUpdate(const Context&, const api::Object& o, const api::Object& old, FieldErrors& errors) const override {
    PolicyContext c;
    const auto& was = old.as<net::NetworkPolicy>().spec;
    FieldErrors bad;
    validateLabelSelector(was.podSelector, Path(), bad);
    c.lenientSelectors = !bad.empty();
    eachIpBlock(was, [&](const net::IPBlock& b, const Path&) {
      c.known.push_back(b.cidr.str());
      for (const auto& e : b.except) c.known.push_back(e.str());
    });
    validatePolicy(o.as<net::NetworkPolicy>().spec, c, errors);
  }
  void warnings(const Context& c, const api::Object& o, const api::Object*) const override {
    eachIpBlock(o.as<net::NetworkPolicy>().spec, [&](const net::IPBlock& b, const Path& p) {
      for (auto& w : cidrWarnings(p.child("cidr"), b.cidr)) c.warn(std::move(w));
      for (size_t i = 0; i < b.except.size(); i++) {
        for (auto& w : cidrWarnings(p.child("except").index(i), b.except[i])) c.warn(std::move(w));
      }
    });
  }
};

// --- service ranges -----------------------------------------------------------------------------------

void validateRanges(const net::ServiceCIDRSpec& s, FieldErrors& errors) {
  Path p("spec.cidrs");
  if (s.cidrs.empty()) return errors.required(p, "at least one CIDR required");
  if (s.cidrs.size() > 2) return errors.invalid(p, structValue(s), "may only hold up to 2 values");
  for (size_t i = 0; i < s.cidrs.size(); i++) validateCidr(p.index(i), s.cidrs[i], errors);
  if (s.cidrs.size() < 2) return;
  auto a = Cidr::parseSloppy(s.cidrs[0]), b = Cidr::parseSloppy(s.cidrs[1]);
  if (a && b && a->is4() == b->is4()) {
    errors.invalid(p, listValue(s.cidrs), "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64");
  }
}

class ServiceCidrStrategy : public OtherStrategy {
 public:
  void validateCreate(const Context&, const api::Object& o, FieldErrors& errors) const override {
    validateRanges(o.as<net::ServiceCIDR>().spec, errors);
  }
  void validateUpdate(const Context&, const api::Object& o, const api::Object& old, FieldErrors& errors) const override {
    const auto& now = o.as<net::ServiceCIDR>().spec;
    const auto& was = old.as<net::ServiceCIDR>().spec;
    Path p("spec.cidrs");
    if (now.cidrs.size() == was.cidrs.size()) {
      for (size_t i = 0; i < was.cidrs.size(); i++) {
        immutable(now.cidrs[i] == was.cidrs[i], p.index(i), now.cidrs[i].view(), errors);
      }
    } else if (was.cidrs.size() == 1 && now.cidrs.size() == 2) {
      immutable(now.cidrs[0] == was.cidrs[0], p.index(0), now.cidrs[0].view(), errors);
      validateRanges(now, errors);
    } else {
      errors.invalid(p, now.cidrs.empty() ? BadValue::raw("[]") : listValue(now.cidrs), kImmutable);
    }
  }
};

class IpAddressStrategy : public OtherStrategy {
 public:
  // An address is nothing to guess.
  std::string generateName(std::string_view base) const override { return std::string(base); }
  void validateCreate(const Context&, const api::Object& o, FieldErrors& errors) const override {
    const auto& ref = o.as<net::IPAddress>().spec.parentRef;
    Path p("spec.parentRef");
    if (!ref) return errors.required(p, "");
    if (!ref->group.empty()) dnsSubdomain(ref->group, p.child("group"), errors);
    requiredSegment(ref->resource, p.child("resource"), errors);
    requiredSegment(ref->name, p.child("name"), errors);
    if (!ref->namespace_.empty()) errors.each(p.child("namespace"), ref->namespace_.view(), api::isValidPathSegmentName(ref->namespace_));
  }
  void validateUpdate(const Context&, const api::Object& o, const api::Object& old, FieldErrors& errors) const override {
    const auto& ref = o.as<net::IPAddress>().spec.parentRef;
    immutable(samePart(o, old, "spec"), Path("spec.parentRef"), ref ? structValue(*ref) : BadValue::raw("null"), errors);
  }
  api::Messages validateName(std::string_view name, bool) const override {
    FieldErrors bad;
    validateIp(Path(), name, bad);
    api::Messages out;
    for (const auto& e : bad.errors()) {
      // Only what is wrong, without the value.
      size_t at = e.message.find(": must");
      out.push_back(at == std::string::npos ? e.message : e.message.substr(at + 2));
    }
    return out;
  }
};

}  // namespace

std::unique_ptr<Strategy> makeNetworkPolicy() { return std::make_unique<NetworkPolicyStrategy>(); }
std::unique_ptr<Strategy> makeServiceCidr() { return std::make_unique<ServiceCidrStrategy>(); }
std::unique_ptr<Strategy> makeIpAddress() { return std::make_unique<IpAddressStrategy>(); }

}  // namespace km::registry
