#include "km/cluster_dns.h"

#include "api/types/core_v1.h"
#include "api/types/discovery_v1.h"

namespace km {
namespace {

constexpr int kDnsPort = 53;

}  // namespace

Status publishClusterDns(client::Client& client, const std::string& serviceAddress, const std::string& address) {
  api::core_v1::Service s;
  s.metadata.name = "kube-dns";
  s.metadata.namespace_ = "kube-system";
  s.metadata.labels["k8s-app"] = "kube-dns";
  s.metadata.labels["kubernetes.io/name"] = "CoreDNS";
  s.metadata.labels["kubernetes.io/cluster-service"] = "true";
  s.spec.clusterIP = serviceAddress;
  api::discovery_v1::EndpointSlice slice;
  slice.metadata.name = "kube-dns";
  slice.metadata.namespace_ = "kube-system";
  slice.metadata.labels["kubernetes.io/service-name"] = "kube-dns";
  slice.addressType = "IPv4";
  auto& endpoint = slice.endpoints.add();
  endpoint.addresses.push_back(address);
  endpoint.conditions.ready = true;
  for (std::string_view protocol : {"UDP", "TCP"}) {
    std::string name = protocol == "UDP" ? "dns" : "dns-tcp";
    auto& p = s.spec.ports.add();
    p.name = name;
    p.port = kDnsPort;
    p.protocol = protocol;
    p.targetPort = codec::IntOrString(kDnsPort);
    auto& sp = slice.ports.add();
    sp.name = codec::String(name);
    sp.port = kDnsPort;
    sp.protocol = codec::String(protocol);
  }
  for (api::MutableObject o : {api::Object::of(std::move(s)), api::Object::of(std::move(slice))}) {
    if (client.get(client::target(o->type(), "kube-system", o->name())).ok()) continue;  // from an earlier start
    auto r = client.create(client::target(o->type(), "kube-system"), o);
    if (!r.ok() && !r.status().is("AlreadyExists")) return r.status();
  }
  return {};
}

}  // namespace km
