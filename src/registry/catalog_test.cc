// Where objects stand in the store, and in which version: upstream's places (its test/integration/etcd/data.go), so
// that a kube-apiserver and this one can serve the same etcd.
#include "registry/catalog.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace km::registry {
namespace {

struct Row {
  std::string_view group, resource, prefix, version;
};
constexpr Row kRows[] = {
    {"admissionregistration.k8s.io", "mutatingadmissionpolicies", "/registry/mutatingadmissionpolicies/", "v1"},
    {"admissionregistration.k8s.io", "mutatingadmissionpolicybindings", "/registry/mutatingadmissionpolicybindings/", "v1"},
    {"admissionregistration.k8s.io", "mutatingwebhookconfigurations", "/registry/mutatingwebhookconfigurations/", "v1"},
    {"admissionregistration.k8s.io", "validatingadmissionpolicies", "/registry/validatingadmissionpolicies/", "v1"},
    {"admissionregistration.k8s.io", "validatingadmissionpolicybindings", "/registry/validatingadmissionpolicybindings/", "v1"},
    {"admissionregistration.k8s.io", "validatingwebhookconfigurations", "/registry/validatingwebhookconfigurations/", "v1"},
    {"apiextensions.k8s.io", "customresourcedefinitions", "/registry/apiextensions.k8s.io/customresourcedefinitions/", "v1"},
    {"apiregistration.k8s.io", "apiservices", "/registry/apiregistration.k8s.io/apiservices/", "v1"},
    {"apps", "controllerrevisions", "/registry/controllerrevisions/", "v1"},
    {"apps", "daemonsets", "/registry/daemonsets/", "v1"},
    {"apps", "deployments", "/registry/deployments/", "v1"},
    {"apps", "replicasets", "/registry/replicasets/", "v1"},
    {"apps", "statefulsets", "/registry/statefulsets/", "v1"},
    {"autoscaling", "horizontalpodautoscalers", "/registry/horizontalpodautoscalers/", "v2"},
    {"batch", "cronjobs", "/registry/cronjobs/", "v1"},
    {"batch", "jobs", "/registry/jobs/", "v1"},
    {"certificates.k8s.io", "certificatesigningrequests", "/registry/certificatesigningrequests/", "v1"},
    {"coordination.k8s.io", "leases", "/registry/leases/", "v1"},
    {"", "configmaps", "/registry/configmaps/", "v1"},
    {"", "endpoints", "/registry/services/endpoints/", "v1"},
    {"", "events", "/registry/events/", "v1"},
    {"", "limitranges", "/registry/limitranges/", "v1"},
    {"", "namespaces", "/registry/namespaces/", "v1"},
    {"", "nodes", "/registry/minions/", "v1"},
    {"", "persistentvolumeclaims", "/registry/persistentvolumeclaims/", "v1"},
    {"", "persistentvolumes", "/registry/persistentvolumes/", "v1"},
    {"", "pods", "/registry/pods/", "v1"},
    {"", "podtemplates", "/registry/podtemplates/", "v1"},
    {"", "replicationcontrollers", "/registry/controllers/", "v1"},
    {"", "resourcequotas", "/registry/resourcequotas/", "v1"},
    {"", "secrets", "/registry/secrets/", "v1"},
    {"", "serviceaccounts", "/registry/serviceaccounts/", "v1"},
    {"", "services", "/registry/services/specs/", "v1"},
    {"discovery.k8s.io", "endpointslices", "/registry/endpointslices/", "v1"},
    {"flowcontrol.apiserver.k8s.io", "flowschemas", "/registry/flowschemas/", "v1"},
    {"flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations", "/registry/prioritylevelconfigurations/", "v1"},
    {"networking.k8s.io", "ingressclasses", "/registry/ingressclasses/", "v1"},
    {"networking.k8s.io", "ingresses", "/registry/ingress/", "v1"},
    {"networking.k8s.io", "ipaddresses", "/registry/ipaddresses/", "v1"},
    {"networking.k8s.io", "networkpolicies", "/registry/networkpolicies/", "v1"},
    {"networking.k8s.io", "servicecidrs", "/registry/servicecidrs/", "v1"},
    {"node.k8s.io", "runtimeclasses", "/registry/runtimeclasses/", "v1"},
    {"policy", "poddisruptionbudgets", "/registry/poddisruptionbudgets/", "v1"},
    {"rbac.authorization.k8s.io", "clusterrolebindings", "/registry/clusterrolebindings/", "v1"},
    {"rbac.authorization.k8s.io", "clusterroles", "/registry/clusterroles/", "v1"},
    {"rbac.authorization.k8s.io", "rolebindings", "/registry/rolebindings/", "v1"},
    {"rbac.authorization.k8s.io", "roles", "/registry/roles/", "v1"},
    {"resource.k8s.io", "deviceclasses", "/registry/deviceclasses/", "v1"},
    {"resource.k8s.io", "resourceclaims", "/registry/resourceclaims/", "v1"},
    {"resource.k8s.io", "resourceclaimtemplates", "/registry/resourceclaimtemplates/", "v1"},
    {"resource.k8s.io", "resourceslices", "/registry/resourceslices/", "v1"},
    {"scheduling.k8s.io", "priorityclasses", "/registry/priorityclasses/", "v1"},
    {"storage.k8s.io", "csidrivers", "/registry/csidrivers/", "v1"},
    {"storage.k8s.io", "csinodes", "/registry/csinodes/", "v1"},
    {"storage.k8s.io", "csistoragecapacities", "/registry/csistoragecapacities/", "v1"},
    {"storage.k8s.io", "storageclasses", "/registry/storageclasses/", "v1"},
    {"storage.k8s.io", "volumeattachments", "/registry/volumeattachments/", "v1"},
    {"storage.k8s.io", "volumeattributesclasses", "/registry/volumeattributesclasses/", "v1"},
};

TEST(Catalog, ObjectsStandWhereUpstreamPutsThem) {
  std::set<std::string> seen;
  for (const api::Resource& served : api::builtinResources()) {
    if (!isStored(served)) continue;
    const api::Resource& kept = *storageResource(served);
    const Row* row = nullptr;
    for (const Row& r : kRows) {
      if (r.group == kept.group && r.resource == kept.name) row = &r;
    }
    ASSERT_NE(row, nullptr) << kept.group << "/" << kept.name << " is not in the table";
    EXPECT_EQ(storePrefix(kept.group, kept.name), row->prefix);
    EXPECT_EQ(kept.version, row->version) << kept.name;
    seen.insert(std::string(kept.group) + "/" + std::string(kept.name));
  }
  EXPECT_EQ(seen.size(), std::size(kRows));
}

TEST(Catalog, EventsOfBothGroupsAreOne) {
  const api::Resource* newer = api::findResource("events.k8s.io", "v1", "events");
  ASSERT_NE(newer, nullptr);
  EXPECT_EQ(storageResource(*newer)->group, "");
}

}  // namespace
}  // namespace km::registry
