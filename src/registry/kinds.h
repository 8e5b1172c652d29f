// The strategies by resource, as rows of the catalog name them.
#pragma once

#include <memory>

#include "registry/strategy.h"

namespace km::registry {

using MakeStrategy = std::unique_ptr<Strategy>();

// core
MakeStrategy makeConfigMap, makeEndpoints, makeEvent, makeNamespace, makeNode, makePod, makePodTemplate,
    makeSecret, makeService, makeServiceAccount;
MakeStrategy makeReplicationController, makeLimitRange, makeResourceQuota, makePersistentVolume,
    makePersistentVolumeClaim;
// apps
MakeStrategy makeDeployment, makeReplicaSet, makeStatefulSet, makeDaemonSet, makeControllerRevision;
MakeStrategy makeJob, makeCronJob, makeDisruptionBudget;
// certificates, coordination, discovery, rbac, scheduling
MakeStrategy makeSigningRequest;
MakeStrategy makeLease, makeEndpointSlice, makePriorityClass;
MakeStrategy makeStorageClass, makeAttributesClass, makeCsiDriver, makeCsiNode, makeCsiCapacity,
    makeVolumeAttachment;
MakeStrategy makeAutoscaler, makeRuntimeClass;
MakeStrategy makeIngress, makeIngressClass, makeNetworkPolicy, makeServiceCidr, makeIpAddress;
MakeStrategy makeMutatingWebhooks, makeValidatingWebhooks, makeApiService;
MakeStrategy makeRole, makeClusterRole, makeRoleBinding, makeClusterRoleBinding;

// The finalize subresource of namespaces: only finalizers of the spec change.
MakeStrategy makeNamespaceFinalize;

}  // namespace km::registry
