#include "registry/traits.h"

#include <algorithm>
#include <iterator>
#include <string_view>
#include <tuple>

namespace km::registry {
namespace {

enum Trait : unsigned {
  kCreates = 1,           // createOnUpdate
  kVersion = 2,           // needsVersion
  kReturns = 4,           // returnsDeleted
  kNoLook = 8,            // no look at metadata of its own
  kAnyFinalizer = 16,     // finalizers are not looked at closer
  kStatus = 32,           // statusKeepsMetadata
};

struct Row {
  std::string_view group, resource;
  unsigned traits;
};

// Sorted by group and resource.
constexpr Row kRows[] = {
    {"", "endpoints", kCreates},
    {"", "events", kCreates | kNoLook},
    {"", "limitranges", kCreates},
    {"", "namespaces", kReturns},
    {"", "persistentvolumeclaims", kReturns},
    {"", "persistentvolumes", kReturns},
    {"", "pods", kReturns},
    {"", "podtemplates", kReturns},
    {"", "resourcequotas", kReturns},
    {"", "serviceaccounts", kReturns},
    {"", "services", kCreates | kReturns},
    {"admissionregistration.k8s.io", "mutatingadmissionpolicies", kVersion | kAnyFinalizer},
    {"admissionregistration.k8s.io", "mutatingadmissionpolicybindings", kVersion | kAnyFinalizer},
    {"admissionregistration.k8s.io", "mutatingwebhookconfigurations", kVersion | kAnyFinalizer},
    {"admissionregistration.k8s.io", "validatingadmissionpolicies", kVersion | kAnyFinalizer | kStatus},
    {"admissionregistration.k8s.io", "validatingadmissionpolicybindings", kVersion | kAnyFinalizer},
    {"admissionregistration.k8s.io", "validatingwebhookconfigurations", kVersion | kAnyFinalizer},
    {"apiextensions.k8s.io", "customresourcedefinitions", kVersion | kAnyFinalizer},
    {"apiregistration.k8s.io", "apiservices", kVersion | kAnyFinalizer | kStatus},
    {"certificates.k8s.io", "clustertrustbundles", kVersion},
    {"certificates.k8s.io", "podcertificaterequests", kVersion},
    {"coordination.k8s.io", "leasecandidates", kCreates | kVersion | kAnyFinalizer},
    {"coordination.k8s.io", "leases", kCreates | kVersion | kAnyFinalizer},
    {"flowcontrol.apiserver.k8s.io", "flowschemas", kStatus},
    {"flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations", kStatus},
    {"internal.apiserver.k8s.io", "storageversions", kVersion | kNoLook | kStatus},
    {"networking.k8s.io", "servicecidrs", kStatus},
    {"node.k8s.io", "runtimeclasses", kCreates | kVersion | kAnyFinalizer},
    {"policy", "poddisruptionbudgets", kVersion | kNoLook},
    {"rbac.authorization.k8s.io", "clusterrolebindings", kCreates},
    {"rbac.authorization.k8s.io", "clusterroles", kCreates},
    {"rbac.authorization.k8s.io", "rolebindings", kCreates},
    {"rbac.authorization.k8s.io", "roles", kCreates},
    {"resource.k8s.io", "deviceclasses", kReturns},
    {"resource.k8s.io", "devicetaintrules", kReturns | kStatus},
    {"resource.k8s.io", "resourceclaims", kReturns | kStatus},
    {"resource.k8s.io", "resourceclaimtemplates", kReturns},
    {"resource.k8s.io", "resourceslices", kReturns},
    {"scheduling.k8s.io", "podgroups", kStatus},
    {"storage.k8s.io", "csidrivers", kVersion | kReturns},
    {"storage.k8s.io", "csinodes", kVersion | kReturns},
    {"storage.k8s.io", "csistoragecapacities", kVersion},
    {"storage.k8s.io", "storageclasses", kReturns},
    {"storage.k8s.io", "volumeattachments", kVersion | kReturns | kStatus},
    {"storage.k8s.io", "volumeattributesclasses", kReturns},
    {"storagemigration.k8s.io", "storageversionmigrations", kVersion | kStatus},
};

Traits made(unsigned bits) {
  Traits t;
  t.createOnUpdate = bits & kCreates;
  t.needsVersion = bits & kVersion;
  t.returnsDeleted = bits & kReturns;
  t.statusKeepsMetadata = bits & kStatus;
  t.looks.onCreate = !(bits & kNoLook);
  t.looks.finalizerNames = !(bits & (kAnyFinalizer | kNoLook));
  return t;
}

}  // namespace

Traits traitsOf(const api::Resource& r) {
  auto before = [](const Row& a, const std::pair<std::string_view, std::string_view>& key) {
    return std::tie(a.group, a.resource) < std::tie(key.first, key.second);
  };
  std::pair key{r.group, r.name};
  const Row* row = std::lower_bound(std::begin(kRows), std::end(kRows), key, before);
  bool found = row != std::end(kRows) && row->group == r.group && row->resource == r.name;
  return made(found ? row->traits : 0);
}

}  // namespace km::registry
