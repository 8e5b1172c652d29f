#include "registry/catalog.h"

#include <fmt/format.h>

#include <algorithm>

#include "registry/flowcontrol/flowcontrol.h"
#include "registry/kinds.h"
#include "registry/other_columns.h"

namespace km::registry {
namespace {

struct Row {
  std::string_view group, resource;
  std::unique_ptr<Strategy> (*make)();
};

// Sorted by group and resource.
constexpr Row kRows[] = {
    {"", "configmaps", makeConfigMap},
    {"", "endpoints", makeEndpoints},
    {"", "events", makeEvent},
    {"", "limitranges", makeLimitRange},
    {"", "namespaces", makeNamespace},
    {"", "nodes", makeNode},
    {"", "persistentvolumeclaims", makePersistentVolumeClaim},
    {"", "persistentvolumes", makePersistentVolume},
    {"", "pods", makePod},
    {"", "podtemplates", makePodTemplate},
    {"", "replicationcontrollers", makeReplicationController},
    {"", "resourcequotas", makeResourceQuota},
    {"", "secrets", makeSecret},
    {"", "serviceaccounts", makeServiceAccount},
    {"", "services", makeService},
    {"admissionregistration.k8s.io", "mutatingwebhookconfigurations", makeMutatingWebhooks},
    {"admissionregistration.k8s.io", "validatingwebhookconfigurations", makeValidatingWebhooks},
    {"apiregistration.k8s.io", "apiservices", makeApiService},
    {"apps", "controllerrevisions", makeControllerRevision},
    {"apps", "daemonsets", makeDaemonSet},
    {"apps", "deployments", makeDeployment},
    {"apps", "replicasets", makeReplicaSet},
    {"apps", "statefulsets", makeStatefulSet},
    {"autoscaling", "horizontalpodautoscalers", makeAutoscaler},
    {"batch", "cronjobs", makeCronJob},
    {"batch", "jobs", makeJob},
    {"certificates.k8s.io", "certificatesigningrequests", makeSigningRequest},
    {"coordination.k8s.io", "leases", makeLease},
    {"discovery.k8s.io", "endpointslices", makeEndpointSlice},
    {"flowcontrol.apiserver.k8s.io", "flowschemas", makeFlowSchema},
    {"flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations", makePriorityLevel},
    {"networking.k8s.io", "ingressclasses", makeIngressClass},
    {"networking.k8s.io", "ingresses", makeIngress},
    {"networking.k8s.io", "ipaddresses", makeIpAddress},
    {"networking.k8s.io", "networkpolicies", makeNetworkPolicy},
    {"networking.k8s.io", "servicecidrs", makeServiceCidr},
    {"node.k8s.io", "runtimeclasses", makeRuntimeClass},
    {"policy", "poddisruptionbudgets", makeDisruptionBudget},
    {"rbac.authorization.k8s.io", "clusterrolebindings", makeClusterRoleBinding},
    {"rbac.authorization.k8s.io", "clusterroles", makeClusterRole},
    {"rbac.authorization.k8s.io", "rolebindings", makeRoleBinding},
    {"rbac.authorization.k8s.io", "roles", makeRole},
    {"scheduling.k8s.io", "priorityclasses", makePriorityClass},
    {"storage.k8s.io", "csidrivers", makeCsiDriver},
    {"storage.k8s.io", "csinodes", makeCsiNode},
    {"storage.k8s.io", "csistoragecapacities", makeCsiCapacity},
    {"storage.k8s.io", "storageclasses", makeStorageClass},
    {"storage.k8s.io", "volumeattachments", makeVolumeAttachment},
    {"storage.k8s.io", "volumeattributesclasses", makeAttributesClass},
};

struct Place {
  std::string_view group, resource, prefix;
};

// Only those that don't stand at /registry/RESOURCE/ (upstream's history).
constexpr Place kPlaces[] = {
    {"", "endpoints", "services/endpoints"},
    {"", "nodes", "minions"},
    {"", "replicationcontrollers", "controllers"},
    {"", "services", "services/specs"},
    {"apiextensions.k8s.io", "customresourcedefinitions", "apiextensions.k8s.io/customresourcedefinitions"},
    {"apiregistration.k8s.io", "apiservices", "apiregistration.k8s.io/apiservices"},
    {"networking.k8s.io", "ingresses", "ingress"},
};

struct Move {
  std::string_view group, version, resource;  // as served
  std::string_view toGroup, toVersion;        // as stored
};
constexpr Move kMoves[] = {
    {"events.k8s.io", "v1", "events", "", "v1"},
    {"autoscaling", "v1", "horizontalpodautoscalers", "autoscaling", "v2"},
};

}  // namespace

std::unique_ptr<Strategy> makeStrategy(const api::Resource& r) {
  std::unique_ptr<Strategy> s;
  for (const Row& row : kRows) {
    // Rules are those of the stored version.
    std::string_view version = r.group == "autoscaling" ? "v2" : "v1";
    bool onlyStored =
        r.group == "autoscaling" || r.group == "networking.k8s.io" || r.group == "storage.k8s.io";
    bool stored = !onlyStored || r.version == version;
    if (stored && row.group == r.group && row.resource == r.name) s = row.make();
  }
  if (!s) s = makeColumnStrategy(r);
  if (!s) s = std::make_unique<Strategy>();
  s->describe(r);
  return s;
}

std::map<std::string, std::unique_ptr<Strategy>> makeSubresourceStrategies(const api::Resource& r) {
  std::map<std::string, std::unique_ptr<Strategy>> out;
  if (r.group.empty() && r.name == "namespaces") out["finalize"] = makeNamespaceFinalize();
  for (auto& [name, strategy] : out) strategy->describe(r);
  return out;
}

std::string storePrefix(std::string_view group, std::string_view resource) {
  for (const Place& p : kPlaces) {
    if (p.group == group && p.resource == resource) return fmt::format("/registry/{}/", p.prefix);
  }
  return fmt::format("/registry/{}/", resource);
}

bool isStored(const api::Resource& r) {
  auto has = [&](std::string_view verb) {
    return std::find(r.verbs.begin(), r.verbs.end(), verb) != r.verbs.end();
  };
  return has("list") && has("create");
}

const api::Resource* storageResource(const api::Resource& served) {
  for (const Move& m : kMoves) {
    if (m.group == served.group && m.version == served.version && m.resource == served.name) {
      return api::findResource(m.toGroup, m.toVersion, served.name);
    }
  }
  return &served;
}

}  // namespace km::registry
