#include "proxy/frontends.h"

#include <arpa/inet.h>

#include <algorithm>

#include "api/types/core_v1.h"
#include "api/types/discovery_v1.h"
#include "base/strings.h"

namespace km::proxy {
namespace {

using api::core_v1::Service;
using api::core_v1::ServicePort;
using api::discovery_v1::EndpointSlice;
using SlicesByService = std::map<std::string, std::vector<const EndpointSlice*>>;

constexpr std::string_view kServiceLabel = "kubernetes.io/service-name";
constexpr std::string_view kProxyNameLabel = "service.kubernetes.io/service-proxy-name";
constexpr std::string_view kHeadlessLabel = "service.kubernetes.io/headless";

struct Candidate {
  Target target;
  bool ready = false, servingTerminating = false;
};

std::vector<Candidate> candidates(const std::vector<const EndpointSlice*>& slices, const ServicePort& port,
                                  const RuleOptions& options) {
  std::vector<Candidate> out;
  for (const EndpointSlice* slice : slices) {
    for (const auto& p : slice->ports) {
      if ((p.name ? p.name->view() : "") != port.name || !p.port) continue;
      if ((p.protocol ? p.protocol->view() : "TCP") != (port.protocol.empty() ? "TCP" : port.protocol.view())) continue;
      for (const auto& e : slice->endpoints) {
        if (e.addresses.empty()) continue;
        Candidate c;
        c.target = {e.addresses[0].str(), *p.port, e.nodeName && *e.nodeName == options.nodeName};
        bool terminating = e.conditions.terminating.value_or(false);
        c.ready = e.conditions.ready.value_or(true);
        c.servingTerminating = terminating && e.conditions.serving.value_or(c.ready);
        out.push_back(std::move(c));
      }
    }
  }
  return out;
}

// Ready ones; where there are none, those that still serve while they end.
std::vector<Target> usable(const std::vector<Candidate>& from, bool localOnly) {
  std::vector<Target> ready, ending;
  for (const Candidate& c : from) {
    if (localOnly && !c.target.local) continue;
    if (c.ready) {
      ready.push_back(c.target);
    } else if (c.servingTerminating) {
      ending.push_back(c.target);
    }
  }
  std::vector<Target>& out = ready.empty() ? ending : ready;
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return std::move(out);
}

template <typename Strings>
std::vector<std::string> ofFamily(const Strings& addresses, Family family) {
  std::vector<std::string> out;
  for (const auto& a : addresses) {
    if (isOfFamily(std::string_view(a), family)) out.emplace_back(std::string_view(a));
  }
  return out;
}

bool isServed(const Service& s) {
  if (s.spec.type == "ExternalName" || s.spec.clusterIP.empty() || s.spec.clusterIP == "None") return false;
  return s.metadata.labels.find(kProxyNameLabel) == nullptr;
}

ServicePortView view(const Service& s, const ServicePort& port, const std::vector<const EndpointSlice*>& slices,
                     const RuleOptions& options, Family family) {
  ServicePortView v;
  v.service = &s;
  v.name = s.metadata.namespace_.str() + "/" + s.metadata.name.str() + ":" + port.name.str();
  v.protocol = port.protocol.empty() ? "tcp" : toLower(port.protocol);
  v.port = port.port;
  v.nodePort = s.spec.type == "NodePort" || s.spec.type == "LoadBalancer" ? port.nodePort : 0;
  v.clusterIps = ofFamily(s.spec.clusterIPs, family);
  if (s.spec.clusterIPs.empty() && isOfFamily(s.spec.clusterIP, family)) v.clusterIps.push_back(s.spec.clusterIP.str());
  v.externalIps = ofFamily(s.spec.externalIPs, family);
  for (const auto& ingress : s.status.loadBalancer.ingress) {
    if (ingress.ipMode && *ingress.ipMode == "Proxy") continue;  // the balancer is the next hop itself
    if (isOfFamily(ingress.ip, family)) v.loadBalancerIps.push_back(ingress.ip.str());
  }
  auto all = candidates(slices, port, options);
  v.all = usable(all, false);
  v.local = usable(all, true);
  v.internalLocal = s.spec.internalTrafficPolicy && *s.spec.internalTrafficPolicy == "Local";
  v.externalLocal = s.spec.externalTrafficPolicy == "Local";
  if (s.spec.sessionAffinity == "ClientIP") {
    v.affinitySeconds = 10800;
    const auto& config = s.spec.sessionAffinityConfig;
    if (config && config->clientIP && config->clientIP->timeoutSeconds) {
      v.affinitySeconds = *config->clientIP->timeoutSeconds;
    }
  }
  return v;
}

}  // namespace

bool isOfFamily(std::string_view address, Family family) {
  unsigned char bytes[16];
  return inet_pton(family == Family::kIpv4 ? AF_INET : AF_INET6, std::string(address).c_str(), bytes) == 1;
}

std::vector<ServicePortView> servicePorts(const Snapshot& snapshot, const RuleOptions& options, Family family) {
  SlicesByService byService;
  std::string_view wanted = family == Family::kIpv4 ? "IPv4" : "IPv6";
  for (const auto& slice : snapshot.slices) {
    const codec::String* name = slice->metadata.labels.find(kServiceLabel);
    if (name == nullptr || slice->addressType != wanted) continue;
    if (slice->metadata.labels.find(kHeadlessLabel) != nullptr) continue;
    byService[slice->metadata.namespace_.str() + "/" + name->str()].push_back(slice.get());
  }
  std::vector<ServicePortView> out;
  for (const auto& s : snapshot.services) {
    if (!isServed(*s)) continue;
    const auto& slices = byService[s->metadata.namespace_.str() + "/" + s->metadata.name.str()];
    for (const auto& port : s->spec.ports) {
      ServicePortView v = view(*s, port, slices, options, family);
      if (!v.clusterIps.empty()) out.push_back(std::move(v));  // else the service is not of this family
    }
  }
  return out;
}

}  // namespace km::proxy
