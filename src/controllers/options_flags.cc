#include "controllers/options_flags.h"

#include "base/strings.h"

namespace km::controllers {

void addFlags(FlagSet& flags, Options& o) {
  flags.add(&o.clusterCidr, "cluster-cidr", "CIDR `Range` for Pods in cluster. Only used when --allocate-node-cidrs=true.");
  flags.add(&o.allocateNodeCidrs, "allocate-node-cidrs", "Should CIDRs for Pods be allocated and set on the cloud provider.");
  flags.addInt(&o.nodeCidrMaskSizeIpv4, "node-cidr-mask-size-ipv4", "Mask `size` for IPv4 node cidr in dual-stack cluster.");
  flags.addInt(&o.nodeCidrMaskSizeIpv6, "node-cidr-mask-size-ipv6", "Mask `size` for IPv6 node cidr in dual-stack cluster.");
  flags.addFunc([&o](std::string_view text) -> Status {
         auto bits = parseInt64(text);
         if (!bits || *bits < 0 || *bits > 128) return errors::badRequest("strconv.ParseInt: parsing " + quote(text) + ": invalid syntax");
         if (*bits == 0) return {};
         bool v6 = o.clusterCidr.find(':') != std::string::npos;
         (v6 ? o.nodeCidrMaskSizeIpv6 : o.nodeCidrMaskSizeIpv4) = static_cast<int>(*bits);
         if (o.clusterCidr.empty()) o.nodeCidrMaskSizeIpv6 = static_cast<int>(*bits);
         return {};
       }, "int32", "node-cidr-mask-size", "Mask `size` for node cidr in cluster: 24 for IPv4 and 64 for IPv6 unless said.");
  flags.add(&o.nodeEvictionRate, "node-eviction-rate", "`Number` of nodes per second on which pods are deleted in case of node failure when a zone is healthy.");
  flags.add(&o.secondaryNodeEvictionRate, "secondary-node-eviction-rate", "`Number` of nodes per second on which pods are deleted in case of node failure when a zone is unhealthy.");
  flags.addInt(&o.largeClusterSizeThreshold, "large-cluster-size-threshold", "`Number` of nodes from which the cluster is treated as large for the eviction logic.");
  flags.add(&o.unhealthyZoneThreshold, "unhealthy-zone-threshold", "`Fraction` of Nodes in a zone which needs to be not Ready for the zone to be treated as unhealthy.");
  flags.addInt(&o.concurrentServiceAccountTokenSyncs, "concurrent-serviceaccount-token-syncs", "The `number` of service account token objects that are allowed to sync concurrently.");
  flags.add(&o.nodeMonitorPeriod, "node-monitor-period", "The `period` for syncing NodeStatus in cloud-node-lifecycle-controller.");
  flags.add(&o.nodeMonitorGracePeriod, "node-monitor-grace-period", "Amount of `time` which we allow running Node to be unresponsive before marking it unhealthy.");
  flags.add(&o.nodeStartupGracePeriod, "node-startup-grace-period", "Amount of `time` which we allow starting Node to be unresponsive before marking it unhealthy.");
  flags.addInt(&o.terminatedPodGcThreshold, "terminated-pod-gc-threshold", "Number of terminated `pods` that can exist before the terminated pod garbage collector starts deleting terminated pods.");
  flags.addInt(&o.concurrentDeploymentSyncs, "concurrent-deployment-syncs", "The `number` of deployment objects that are allowed to sync concurrently.");
  flags.addInt(&o.concurrentReplicaSetSyncs, "concurrent-replicaset-syncs", "The `number` of replica sets that are allowed to sync concurrently.");
  flags.addInt(&o.concurrentEndpointSyncs, "concurrent-endpoint-syncs", "The `number` of endpoint syncing operations that will be done concurrently.");
  flags.addInt(&o.concurrentServiceEndpointSyncs, "concurrent-service-endpoint-syncs", "The `number` of service endpoint syncing operations that will be done concurrently.");
  flags.addInt(&o.concurrentNamespaceSyncs, "concurrent-namespace-syncs", "The `number` of namespace objects that are allowed to sync concurrently.");
  flags.addInt(&o.concurrentGcSyncs, "concurrent-gc-syncs", "The `number` of garbage collector workers that are allowed to sync concurrently.");
  flags.addInt(&o.concurrentResourceQuotaSyncs, "concurrent-resource-quota-syncs", "The `number` of resource quotas that are allowed to sync concurrently.");
  flags.add(&o.resourceQuotaSyncPeriod, "resource-quota-sync-period", "The `period` for syncing quota usage status in the system.");
  flags.addInt(&o.maxEndpointsPerSlice, "max-endpoints-per-slice", "The maximum `number` of endpoints that will be added to an EndpointSlice.");
}

}  // namespace km::controllers
