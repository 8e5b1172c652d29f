// ServiceAccount: gives every pod an account that exists, its pull secrets, and a volume with a token for the
// API.
#include <fmt/format.h>

#include "admission/plugins.h"
#include "admission/pod_references.h"
#include "api/types/core_v1.h"
#include "base/rand.h"

namespace km::admission {
namespace {

using api::core_v1::Pod;

constexpr char kMountPath[] = "/var/run/secrets/kubernetes.io/serviceaccount";
constexpr int64_t kTokenSeconds = 3607;  // an hour, and what tells these tokens from others

class ServiceAccount : public Plugin {
 public:
  explicit ServiceAccount(const PluginContext& c) : context_(c) {}
  std::string_view name() const override { return "ServiceAccount"; }

  Status mutate(Attributes& a) const override {
    if (!a.isFor("", "pods") || !a.subresource.empty() || a.operation != Operation::kCreate) return {};
    Pod& pod = a.object->as<Pod>();
    if (pod.metadata.annotations.contains("kubernetes.io/config.mirror")) return validate(a);
    if (pod.spec.serviceAccountName.empty()) pod.spec.serviceAccountName = "default";
    pod.spec.serviceAccount = pod.spec.serviceAccountName;
    api::ObjectPtr account = context_.get("", "serviceaccounts", a.ns, pod.spec.serviceAccountName);
    if (!account) {
      return errors::forbidden(
          {"", "pods"}, a.name,
          fmt::format("error looking up service account {}/{}: serviceaccount \"{}\" not found", a.ns,
                      pod.spec.serviceAccountName, pod.spec.serviceAccountName));
    }
    const auto& sa = account->as<api::core_v1::ServiceAccount>();
    bool automount =
        pod.spec.automountServiceAccountToken.value_or(sa.automountServiceAccountToken.value_or(true));
    if (automount) mountToken(pod);
    if (pod.spec.imagePullSecrets.empty()) pod.spec.imagePullSecrets = sa.imagePullSecrets;
    return {};
  }

  Status validate(const Attributes& a) const override {
    if (!a.isFor("", "pods") || !a.subresource.empty() || a.operation != Operation::kCreate) return {};
    const Pod& pod = a.object->as<Pod>();
    if (!pod.metadata.annotations.contains("kubernetes.io/config.mirror")) return {};
    if (!pod.spec.serviceAccountName.empty()) {
      return errors::forbidden({"", "pods"}, a.name, "a mirror pod may not reference service accounts");
    }
    if (refersToSecrets(pod.spec))
      return errors::forbidden({"", "pods"}, a.name, "a mirror pod may not reference secrets");
    for (const auto& v : pod.spec.volumes) {
      if (!v.projected) continue;
      for (const auto& s : v.projected->sources) {
        if (s.serviceAccountToken) {
          return errors::forbidden({"", "pods"}, a.name,
                                   "a mirror pod may not use ServiceAccountToken volume projections");
        }
      }
    }
    return {};
  }

 private:
  static void mountToken(Pod& pod) {
    std::string volumeName;
    for (const auto& v : pod.spec.volumes) {
      if (v.name.view().starts_with("kube-api-access-") && v.projected) volumeName = v.name.str();
    }
    bool used = false;
    if (volumeName.empty()) volumeName = "kube-api-access-" + randomSuffix(5);
    auto mount = [&](auto& containers) {
      for (auto& c : containers) {
        bool taken = false;
        for (const auto& m : c.volumeMounts) taken = taken || m.mountPath == kMountPath;
        if (taken) continue;
        auto& m = c.volumeMounts.add();
        m.name = volumeName;
        m.readOnly = true;
        m.mountPath = kMountPath;
        used = true;
      }
    };
    mount(pod.spec.initContainers);
    mount(pod.spec.containers);
    if (!used) return;
    for (const auto& v : pod.spec.volumes) {
      if (v.name == volumeName) return;
    }
    auto& volume = pod.spec.volumes.add();
    volume.name = volumeName;
    auto& projected = volume.projected.emplace();
    projected.defaultMode = 0644;
    auto& token = projected.sources.add().serviceAccountToken.emplace();
    token.path = "token";
    token.expirationSeconds = kTokenSeconds;
    auto& ca = projected.sources.add().configMap.emplace();
    ca.name = "kube-root-ca.crt";
    auto& key = ca.items.add();
    key.key = "ca.crt";
    key.path = "ca.crt";
    auto& file = projected.sources.add().downwardAPI.emplace().items.add();
    file.path = "namespace";
    auto& ref = file.fieldRef.emplace();
    ref.apiVersion = "v1";
    ref.fieldPath = "metadata.namespace";
  }

  PluginContext context_;
};

}  // namespace

std::unique_ptr<Plugin> makeServiceAccount(const PluginContext& c) {
  return std::make_unique<ServiceAccount>(c);
}

}  // namespace km::admission
