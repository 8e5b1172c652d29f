#include "registry/core/service_defaults.h"

#include "api/types/core_v1.h"

namespace km::registry {

namespace v1 = api::core_v1;

void setServiceDefaults(v1::Service& service) {
  constexpr int32_t kAffinitySeconds = 3 * 60 * 60;
  auto& s = service.spec;
  if (s.sessionAffinity.empty()) s.sessionAffinity = "None";
  if (s.sessionAffinity == "None") s.sessionAffinityConfig.reset();
  if (s.sessionAffinity == "ClientIP") {
    auto& config = s.sessionAffinityConfig;
    if (!config || !config->clientIP || !config->clientIP->timeoutSeconds) {
      config.emplace().clientIP.emplace().timeoutSeconds = kAffinitySeconds;
    }
  }
  if (s.type.empty()) s.type = "ClusterIP";
  for (auto& p : s.ports) {
    if (p.protocol.empty()) p.protocol = "TCP";
    if (p.targetPort == codec::IntOrString(0) || p.targetPort == codec::IntOrString("")) p.targetPort = p.port;
  }
  bool outside = s.type == "LoadBalancer" || s.type == "NodePort" || (s.type == "ClusterIP" && !s.externalIPs.empty());
  if (outside && s.externalTrafficPolicy.empty()) s.externalTrafficPolicy = "Cluster";
  if (!s.internalTrafficPolicy && s.type != "ExternalName") {
    if (s.type == "NodePort" || s.type == "LoadBalancer" || s.type == "ClusterIP") s.internalTrafficPolicy = "Cluster";
  }
  if (s.type == "LoadBalancer") {
    if (!s.allocateLoadBalancerNodePorts) s.allocateLoadBalancerNodePorts = true;
    for (auto& i : service.status.loadBalancer.ingress) {
      if (!i.ip.empty() && !i.ipMode) i.ipMode = "VIP";
    }
  }
}

}  // namespace km::registry
