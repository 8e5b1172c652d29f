#include "admission/plugins.h"

#include <algorithm>

namespace km::admission {
namespace {

struct Row {
  std::string_view name;
  std::unique_ptr<Plugin> (*make)(const PluginContext&);
  bool byDefault;
};

// In the order in which they run (recorded/admission.tsv).
constexpr Row kRows[] = {
    {"NamespaceLifecycle", makeNamespaceLifecycle, true},
    {"LimitRanger", makeLimitRanger, true},
    {"ServiceAccount", makeServiceAccount, true},
    {"NodeRestriction", makeNodeRestriction, false},
    {"TaintNodesByCondition", makeTaintNodesByCondition, true},
    {"PodSecurity", makePodSecurity, true},
    {"Priority", makePriority, true},
    {"DefaultTolerationSeconds", makeDefaultTolerationSeconds, true},
    {"DefaultStorageClass", makeDefaultStorageClass, true},
    {"StorageObjectInUseProtection", makeStorageObjectInUseProtection, true},
    {"PersistentVolumeClaimResize", makePersistentVolumeClaimResize, true},
    {"RuntimeClass", makeRuntimeClass, true},
    {"CertificateApproval", makeCertificateApproval, true},
    {"CertificateSigning", makeCertificateSigning, true},
    {"CertificateSubjectRestriction", makeCertificateSubjectRestriction, true},
    {"DefaultIngressClass", makeDefaultIngressClass, true},
    {"PodTopologyLabels", makePodTopologyLabels, true},
    {"ResourceQuota", makeResourceQuota, true},
};

bool has(const std::vector<std::string>& list, std::string_view name) { return std::find(list.begin(), list.end(), name) != list.end(); }

}  // namespace

void addPlugins(Chain& chain, const PluginContext& context, const std::vector<std::string>& enabled, const std::vector<std::string>& disabled) {
  for (const Row& r : kRows) {
    if ((r.byDefault || has(enabled, r.name)) && !has(disabled, r.name)) chain.add(r.make(context));
  }
}

}  // namespace km::admission
