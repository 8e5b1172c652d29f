#include <fmt/format.h>

#include "api/types/discovery_v1.h"
#include "api/types/meta_v1.h"
#include "codec/ops.h"
#include "registry/cells.h"
#include "registry/ip.h"
#include "registry/kinds.h"
#include "registry/metadata.h"
#include "registry/rules.h"

namespace km::registry {
namespace {

using api::discovery_v1::EndpointSlice;

constexpr int kMaxEndpoints = 1000, kMaxAddresses = 100, kMaxPorts = 20000, kMaxHints = 8, kMaxTopology = 16;

template <typename List>
bool tooMany(const List& list, int max, const Path& p, FieldErrors& errors) {
  if (static_cast<int>(list.size()) <= max) return false;
  errors.tooMany(p, static_cast<int>(list.size()), max);
  return true;
}

void validateAddress(std::string_view address, std::string_view type, const Path& addresses, size_t i, FieldErrors& errors) {
  Path p = addresses.index(i);
  size_t before = errors.size();
  if (type == "IPv4") {
    validateLegacyIp(p, address, errors);
    if (errors.size() != before) return;
    if (!Ip::parseSloppy(address)->is4()) errors.invalid(addresses, address, "must be an IPv4 address");
    validateEndpointIp(p, address, errors);
  } else if (type == "IPv6") {
    validateIp(p, address, errors);
    if (errors.size() != before) return;
    if (Ip::parseSloppy(address)->is4()) errors.invalid(addresses, address, "must be an IPv6 address");
    validateEndpointIp(p, address, errors);
  } else if (type == "FQDN") {
    if (address.empty()) return errors.required(p, "");
    std::string_view name = address;
    if (name.ends_with('.')) name.remove_suffix(1);
    errors.each(p, name, api::isDns1123Subdomain(name));
    if (name.find('.') == std::string_view::npos) {
      errors.invalid(p, name, "should be a domain with at least two segments separated by dots");
    }
  }
}

template <typename List>
void validateHintNames(const List& list, const Path& p, FieldErrors& errors, api::Messages (*check)(std::string_view)) {
  if (tooMany(list, kMaxHints, p, errors)) return;
  for (size_t i = 0; i < list.size(); i++) {
    Path name = p.index(i).child("name");
    for (size_t k = 0; k < i; k++) {
      if (list[k].name == list[i].name) {
        errors.duplicate(name, list[i].name.view());
        break;
      }
    }
    errors.each(name, list[i].name.view(), check(list[i].name));
  }
}

void validateEndpoints(const EndpointSlice& s, FieldErrors& errors) {
  Path all("endpoints");
  if (tooMany(s.endpoints, kMaxEndpoints, all, errors)) return;
  for (size_t i = 0; i < s.endpoints.size(); i++) {
    const auto& e = s.endpoints[i];
    Path p = all.index(i);
    Path addresses = p.child("addresses");
    if (e.addresses.empty()) {
      errors.required(addresses, "must contain at least 1 address");
    } else {
      tooMany(e.addresses, kMaxAddresses, addresses, errors);
    }
    for (size_t k = 0; k < e.addresses.size(); k++) validateAddress(e.addresses[k], s.addressType, addresses, k, errors);
    if (e.nodeName) dnsSubdomain(*e.nodeName, p.child("nodeName"), errors);
    Path topology = p.child("deprecatedTopology");
    tooMany(e.deprecatedTopology, kMaxTopology, topology, errors);
    validateLabels(e.deprecatedTopology, topology, errors);
    if (e.hostname) dnsLabel(*e.hostname, p.child("hostname"), errors);
    if (e.hints) {
      Path hints = p.child("hints");
      size_t before = errors.size();
      validateHintNames(e.hints->forZones, hints.child("forZones"), errors, api::isValidLabelValue);
      if (errors.size() == before || e.hints->forZones.size() <= kMaxHints) {
        validateHintNames(e.hints->forNodes, hints.child("forNodes"), errors, api::isDns1123Subdomain);
      }
    }
  }
}

void validatePorts(const EndpointSlice& s, FieldErrors& errors) {
  Path all("ports");
  if (tooMany(s.ports, kMaxPorts, all, errors)) return;
  for (size_t i = 0; i < s.ports.size(); i++) {
    const auto& port = s.ports[i];
    Path p = all.index(i);
    std::string name = port.name ? port.name->str() : "";
    if (!name.empty()) dnsLabel(name, p.child("name"), errors);
    for (size_t k = 0; k < i; k++) {
      if ((s.ports[k].name ? s.ports[k].name->str() : "") == name) {
        errors.duplicate(p.child("name"), name);
        break;
      }
    }
    if (!port.protocol) {
      errors.required(p.child("protocol"), "");
    } else if (!isIn(*port.protocol, {"TCP", "UDP", "SCTP"})) {
      errors.notSupported(p.child("protocol"), port.protocol->view(), {"SCTP", "TCP", "UDP"});
    }
    if (port.appProtocol) qualifiedName(*port.appProtocol, p.child("appProtocol"), errors);
  }
}

void validateHead(const EndpointSlice& s, FieldErrors& errors) {
  oneOf(s.addressType, {"IPv4", "IPv6", "FQDN"}, Path("addressType"), errors);
  validatePorts(s, errors);
}

class EndpointSliceStrategy : public Strategy {
 public:
  void prepareForCreate(const Context&, api::Object& o) const override {
    o.meta().generation = 1;
    dropTopology(o.as<EndpointSlice>());
  }
  void prepareForUpdate(const Context&, api::Object& o, const api::Object& old) const override {
    auto& s = o.as<EndpointSlice>();
    const auto& was = old.as<EndpointSlice>();
    bool same = s.addressType == was.addressType && s.endpoints == was.endpoints && s.ports == was.ports &&
                s.metadata.labels == was.metadata.labels;
    if (!same) s.metadata.generation = was.metadata.generation + 1;
    if (!(s.endpoints == was.endpoints)) dropTopology(s);
  }
  void validateCreate(const Context&, const api::Object& o, FieldErrors& errors) const override {
    validateHead(o.as<EndpointSlice>(), errors);
    validateEndpoints(o.as<EndpointSlice>(), errors);
  }
  void validateUpdate(const Context&, const api::Object& o, const api::Object& old, FieldErrors& errors) const override {
    const auto& s = o.as<EndpointSlice>();
    validateHead(s, errors);
    if (!samePart(o, old, "endpoints")) validateEndpoints(s, errors);
    immutable(samePart(o, old, "addressType"), Path("addressType"), s.addressType.view(), errors);
  }
  void warnings(const Context& c, const api::Object& o, const api::Object* old) const override {
    const auto& s = o.as<EndpointSlice>();
    if (old == nullptr && s.addressType == "FQDN") c.warn("spec.addressType: FQDN endpoints are deprecated");
    codec::String by = s.metadata.labels.get("endpointslice.kubernetes.io/managed-by");
    if (isIn(by, {"endpointslice-controller.k8s.io", "endpointslicemirroring-controller.k8s.io"})) return;
    for (size_t i = 0; i < s.endpoints.size(); i++) {
      for (size_t k = 0; k < s.endpoints[i].addresses.size(); k++) {
        Path p = Path("endpoints").index(i).child("addresses").index(k);
        for (auto& w : ipWarnings(p, s.endpoints[i].addresses[k])) c.warn(std::move(w));
      }
    }
  }
  bool allowCreateOnUpdate() const override { return false; }
  std::vector<std::string> cells(const api::Resource&, const api::Object& o, WallTime now) const override {
    constexpr int kMax = 3;
    const auto& s = o.as<EndpointSlice>();
    std::vector<std::string> ports, addresses;
    for (const auto& p : s.ports) {
      if (ports.size() < kMax) ports.push_back(p.port ? std::to_string(*p.port) : p.name ? p.name->str() : "*");
    }
    int count = 0;
    for (const auto& e : s.endpoints) {
      for (const auto& a : e.addresses) {
        if (addresses.size() < kMax) addresses.push_back(a.str());
        count++;
      }
    }
    return {textCell(o.name()), textCell(s.addressType), textCell(listWithMore(ports, static_cast<int>(s.ports.size()), kMax)),
            textCell(listWithMore(addresses, count, kMax)), ageCell(o, now)};
  }

 private:
  static void dropTopology(EndpointSlice& s) {
    for (auto& e : s.endpoints) e.deprecatedTopology.clear();
  }
};

}  // namespace

std::unique_ptr<Strategy> makeEndpointSlice() { return std::make_unique<EndpointSliceStrategy>(); }

}  // namespace km::registry
