#include <fmt/format.h>

#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"
#include "registry/cells.h"
#include "registry/ip.h"
#include "registry/kinds.h"
#include "registry/rules.h"

namespace km::registry {
namespace {

using api::core_v1::Endpoints;

void validateAddress(const api::core_v1::EndpointAddress& a, const Path& p, FieldErrors& errors) {
  validateLegacyIp(p.child("ip"), a.ip, errors);
  if (!a.hostname.empty()) dnsLabel(a.hostname, p.child("hostname"), errors);
  if (a.nodeName) dnsSubdomain(*a.nodeName, p.child("nodeName"), errors);
  validateEndpointIp(p.child("ip"), a.ip, errors);
}

void validatePort(const api::core_v1::EndpointPort& port, bool needsName, const Path& p, FieldErrors& errors) {
  if (needsName && port.name.empty()) {
    errors.required(p.child("name"), "");
  } else if (!port.name.empty()) {
    dnsLabel(port.name, p.child("name"), errors);
  }
  errors.each(p.child("port"), port.port, api::isValidPortNum(port.port));
  oneOf(port.protocol, {"TCP", "UDP", "SCTP"}, p.child("protocol"), errors);
  if (port.appProtocol) qualifiedName(*port.appProtocol, p.child("appProtocol"), errors);
}

void validateSubsets(const Endpoints& e, FieldErrors& errors) {
  for (size_t i = 0; i < e.subsets.size(); i++) {
    const auto& s = e.subsets[i];
    Path p = Path("subsets").index(i);
    if (s.addresses.empty() && s.notReadyAddresses.empty()) errors.required(p, "must specify `addresses` or `notReadyAddresses`");
    for (size_t k = 0; k < s.addresses.size(); k++) validateAddress(s.addresses[k], p.child("addresses").index(k), errors);
    for (size_t k = 0; k < s.notReadyAddresses.size(); k++) {
      validateAddress(s.notReadyAddresses[k], p.child("notReadyAddresses").index(k), errors);
    }
    for (size_t k = 0; k < s.ports.size(); k++) {
      validatePort(s.ports[k], s.ports.size() > 1, p.child("ports").index(k), errors);
    }
  }
}

std::string shown(const Endpoints& e) {
  if (e.subsets.empty()) return "<none>";
  constexpr size_t kMax = 3;
  std::vector<std::string> list;
  size_t count = 0;
  bool more = false;
  auto add = [&](std::string text) {
    if (list.size() == kMax) {
      more = true;
    } else {
      list.push_back(std::move(text));
    }
  };
  for (const auto& s : e.subsets) {
    if (s.ports.empty()) {
      count += s.addresses.size();
      for (const auto& a : s.addresses) add(a.ip.str());
    }
    for (const auto& port : s.ports) {
      count += s.addresses.size();
      for (const auto& a : s.addresses) add(hostPort(a.ip, port.port));
    }
  }
  std::string text = joined(list, ",");
  return more ? fmt::format("{} + {} more...", text, count - kMax) : text;
}

class EndpointsStrategy : public Strategy {
 public:
  void validateCreate(const Context&, const api::Object& o, FieldErrors& errors) const override {
    validateSubsets(o.as<Endpoints>(), errors);
  }
  void validateUpdate(const Context&, const api::Object& o, const api::Object& old, FieldErrors& errors) const override {
    // What is stored may stay, even if the rules have become stricter since.
    if (!samePart(o, old, "subsets")) validateSubsets(o.as<Endpoints>(), errors);
  }
  void warnings(const Context& c, const api::Object& o, const api::Object*) const override {
    const auto& e = o.as<Endpoints>();
    if (e.metadata.labels.get("endpoints.kubernetes.io/managed-by") == "endpoint-controller") return;
    for (size_t i = 0; i < e.subsets.size(); i++) {
      Path p = Path("subsets").index(i);
      auto check = [&](const auto& list, std::string_view name) {
        for (size_t k = 0; k < list.size(); k++) {
          for (auto& w : ipWarnings(p.child(name).index(k).child("ip"), list[k].ip)) c.warn(std::move(w));
        }
      };
      check(e.subsets[i].addresses, "addresses");
      check(e.subsets[i].notReadyAddresses, "notReadyAddresses");
    }
  }
  bool allowCreateOnUpdate() const override { return true; }
  std::vector<std::string> cells(const api::Resource&, const api::Object& o, WallTime now) const override {
    return {textCell(o.name()), textCell(shown(o.as<Endpoints>())), ageCell(o, now)};
  }
};

}  // namespace

std::unique_ptr<Strategy> makeEndpoints() { return std::make_unique<EndpointsStrategy>(); }

}  // namespace km::registry
