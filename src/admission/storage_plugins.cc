// DefaultStorageClass, DefaultIngressClass, StorageObjectInUseProtection, PersistentVolumeClaimResize.
#include "admission/plugins.h"
#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"
#include "api/types/networking_v1.h"
#include "api/types/storage_v1.h"

namespace km::admission {
namespace {

using api::core_v1::PersistentVolumeClaim;

constexpr std::string_view kOldClass = "volume.beta.kubernetes.io/storage-class";

// The class that is marked as default: the newest, then the first by name; null if there is none.
api::ObjectPtr defaultClass(const PluginContext& c, std::string_view group, std::string_view resource,
                            std::initializer_list<std::string_view> marks) {
  api::ObjectPtr best;
  auto all = c.list(group, resource, "");
  for (const api::ObjectPtr& o : *all) {
    bool marked = false;
    for (std::string_view m : marks) marked = marked || o->meta().annotations.get(m) == "true";
    if (!marked) continue;
    int64_t t = o->meta().creationTimestamp.seconds;
    int64_t have = best ? best->meta().creationTimestamp.seconds : 0;
    if (!best || t > have || (t == have && o->name() < best->name())) best = o;
  }
  return best;
}

class DefaultStorageClass : public Plugin {
 public:
  explicit DefaultStorageClass(const PluginContext& c) : context_(c) {}
  std::string_view name() const override { return "DefaultStorageClass"; }
  Status mutate(Attributes& a) const override {
    if (!a.isFor("", "persistentvolumeclaims") || !a.subresource.empty() || a.operation != Operation::kCreate) return {};
    auto& claim = a.object->as<PersistentVolumeClaim>();
    if (claim.spec.storageClassName || claim.metadata.annotations.contains(kOldClass)) return {};
    api::ObjectPtr c = defaultClass(context_, "storage.k8s.io", "storageclasses",
                                    {"storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"});
    if (c) claim.spec.storageClassName = codec::String(c->name());
    return {};
  }

 private:
  PluginContext context_;
};

class DefaultIngressClass : public Plugin {
 public:
  explicit DefaultIngressClass(const PluginContext& c) : context_(c) {}
  std::string_view name() const override { return "DefaultIngressClass"; }
  Status mutate(Attributes& a) const override {
    if (!a.isFor("networking.k8s.io", "ingresses") || !a.subresource.empty() || a.operation != Operation::kCreate) return {};
    auto& ingress = a.object->as<api::networking_v1::Ingress>();
    if (ingress.spec.ingressClassName || ingress.metadata.annotations.contains("kubernetes.io/ingress.class")) return {};
    api::ObjectPtr c = defaultClass(context_, "networking.k8s.io", "ingressclasses", {"ingressclass.kubernetes.io/is-default-class"});
    if (c) ingress.spec.ingressClassName = codec::String(c->name());
    return {};
  }

 private:
  PluginContext context_;
};

// What is in use goes only after its users: a controller takes the finalizer away.
class StorageObjectInUseProtection : public Plugin {
 public:
  std::string_view name() const override { return "StorageObjectInUseProtection"; }
  Status mutate(Attributes& a) const override {
    if (!a.subresource.empty() || a.operation != Operation::kCreate) return {};
    if (a.isFor("", "persistentvolumes")) protect(*a.object, "kubernetes.io/pv-protection");
    if (a.isFor("", "persistentvolumeclaims")) protect(*a.object, "kubernetes.io/pvc-protection");
    if (a.isFor("storage.k8s.io", "volumeattributesclasses")) protect(*a.object, "kubernetes.io/vac-protection");
    return {};
  }

 private:
  static void protect(api::Object& o, std::string_view finalizer) {
    auto& list = o.meta().finalizers;
    for (const auto& f : list) {
      if (f == finalizer) return;
    }
    list.push_back(finalizer);
  }
};

class PersistentVolumeClaimResize : public Plugin {
 public:
  explicit PersistentVolumeClaimResize(const PluginContext& c) : context_(c) {}
  std::string_view name() const override { return "PersistentVolumeClaimResize"; }
  Status validate(const Attributes& a) const override {
    if (!a.isFor("", "persistentvolumeclaims") || !a.subresource.empty() || a.operation != Operation::kUpdate) return {};
    const auto &now = a.object->as<PersistentVolumeClaim>(), &was = a.old->as<PersistentVolumeClaim>();
    const codec::Quantity* size = now.spec.resources.requests.find("storage");
    const codec::Quantity* old = was.spec.resources.requests.find("storage");
    if ((size ? *size : codec::Quantity()) <= (old ? *old : codec::Quantity())) return {};
    if (!(was.status.phase == "Bound")) {
      return errors::forbidden({"", "persistentvolumeclaims"}, a.name, "Only bound persistent volume claims can be expanded");
    }
    std::string c = classOf(now);
    api::ObjectPtr found = !c.empty() && c == classOf(was) ? context_.get("storage.k8s.io", "storageclasses", "", c) : nullptr;
    if (found && found->as<api::storage_v1::StorageClass>().allowVolumeExpansion.value_or(false)) return {};
    return errors::forbidden({"", "persistentvolumeclaims"}, a.name,
                             "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize");
  }

 private:
  static std::string classOf(const PersistentVolumeClaim& c) {
    if (const codec::String* old = c.metadata.annotations.find(kOldClass)) return old->str();
    return c.spec.storageClassName ? c.spec.storageClassName->str() : "";
  }
  PluginContext context_;
};

}  // namespace

std::unique_ptr<Plugin> makeDefaultStorageClass(const PluginContext& c) { return std::make_unique<DefaultStorageClass>(c); }
std::unique_ptr<Plugin> makeDefaultIngressClass(const PluginContext& c) { return std::make_unique<DefaultIngressClass>(c); }
std::unique_ptr<Plugin> makeStorageObjectInUseProtection(const PluginContext&) { return std::make_unique<StorageObjectInUseProtection>(); }
std::unique_ptr<Plugin> makePersistentVolumeClaimResize(const PluginContext& c) {
  return std::make_unique<PersistentVolumeClaimResize>(c);
}

}  // namespace km::admission
