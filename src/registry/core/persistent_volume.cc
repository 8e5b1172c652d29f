// PersistentVolumes and their claims.
#include <fmt/format.h>

#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"
#include "base/strings.h"
#include "codec/ops.h"
#include "registry/core/persistent_volume.h"
#include "registry/core/pod_parts.h"
#include "registry/core/pod_warnings.h"
#include "registry/core/volume_sources.h"
#include "registry/go_json.h"
#include "registry/kinds.h"
#include "registry/other_columns.h"

namespace km::registry {

namespace v1 = api::core_v1;

namespace {

constexpr std::string_view kOldClass = "volume.beta.kubernetes.io/storage-class";
constexpr std::string_view kOldOptions = "volume.beta.kubernetes.io/mount-options";

void need(std::string_view value, std::string_view field, const Path& p, FieldErrors& errors) {
  if (value.empty()) errors.required(p.child(field), "");
}

// Secrets of persistent volumes stand in a namespace of their own.
template <typename Ref>
void needBoth(const codec::Box<Ref>& ref, const Path& p, FieldErrors& errors) {
  if (!ref) return;
  need(ref->name, "name", p, errors);
  need(ref->namespace_, "namespace", p, errors);
}

void validateSecret(const codec::Box<v1::SecretReference>& ref, const Path& p, FieldErrors& errors) {
  if (!ref) return;
  if (ref->name.empty()) {
    errors.required(p.child("name"), "");
  } else {
    dnsSubdomain(ref->name, p.child("name"), errors);
  }
  if (ref->namespace_.empty()) {
    errors.required(p.child("namespace"), "");
  } else {
    dnsLabel(ref->namespace_, p.child("namespace"), errors);
  }
}

void validateSource(const v1::CSIPersistentVolumeSource& s, const Path& p, FieldErrors& errors) {
  validateCsiDriverName(s.driver, p.child("driver"), errors);
  need(s.volumeHandle, "volumeHandle", p, errors);
  validateSecret(s.controllerPublishSecretRef, p.child("controllerPublishSecretRef"), errors);
  validateSecret(s.controllerExpandSecretRef, p.child("controllerExpandSecretRef"), errors);
  validateSecret(s.nodePublishSecretRef, p.child("nodePublishSecretRef"), errors);
  validateSecret(s.nodeExpandSecretRef, p.child("nodeExpandSecretRef"), errors);
}

void validateSource(const v1::GlusterfsPersistentVolumeSource& s, const Path& p, FieldErrors& errors) {
  need(s.endpoints, "endpoints", p, errors);
  need(s.path, "path", p, errors);
  if (!s.endpointsNamespace) return;
  Path at = p.child("endpointsNamespace");
  if (s.endpointsNamespace->empty()) {
    errors.invalid(at, "", "if the endpointnamespace is set, it must be a valid namespace name");
  } else {
    dnsLabel(*s.endpointsNamespace, at, errors);
  }
}

void validateSource(const v1::RBDPersistentVolumeSource& s, const Path& p, FieldErrors& errors) {
  if (s.monitors.empty()) errors.required(p.child("monitors"), "");
  need(s.image, "image", p, errors);
}
void validateSource(const v1::CephFSPersistentVolumeSource& s, const Path& p, FieldErrors& errors) {
  if (s.monitors.empty()) errors.required(p.child("monitors"), "");
}
void validateSource(const v1::CinderPersistentVolumeSource& s, const Path& p, FieldErrors& errors) {
  need(s.volumeID, "volumeID", p, errors);
  needBoth(s.secretRef, p.child("secretRef"), errors);
}
void validateSource(const v1::StorageOSPersistentVolumeSource& s, const Path& p, FieldErrors& errors) {
  v1::StorageOSVolumeSource plain;
  plain.volumeName = s.volumeName;
  plain.volumeNamespace = s.volumeNamespace;
  registry::validateSource(plain, p, errors);
  needBoth(s.secretRef, p.child("secretRef"), errors);
}
void validateSource(const v1::ScaleIOPersistentVolumeSource& s, const Path& p, FieldErrors& errors) {
  need(s.gateway, "gateway", p, errors);
  need(s.system, "system", p, errors);
  need(s.volumeName, "volumeName", p, errors);
}
void validateSource(const v1::FlexPersistentVolumeSource& s, const Path& p, FieldErrors& errors) {
  v1::FlexVolumeSource plain;
  plain.driver = s.driver;
  plain.options = s.options;
  registry::validateSource(plain, p, errors);
}
void validateSource(const v1::AzureFilePersistentVolumeSource& s, const Path& p, FieldErrors& errors) {
  need(s.secretName, "secretName", p, errors);
  need(s.shareName, "shareName", p, errors);
  if (s.secretNamespace) need(*s.secretNamespace, "secretNamespace", p, errors);
}
void validateSource(const v1::LocalVolumeSource& s, const Path& p, FieldErrors& errors) {
  if (s.path.empty()) return errors.required(p.child("path"), "");
  validateNoBacksteps(s.path, p.child("path"), errors);
}

void validateIscsi(const v1::ISCSIPersistentVolumeSource& s, std::string_view name, const Path& p, FieldErrors& errors) {
  if (s.initiatorName && name.size() + 1 + s.targetPortal.size() > 64) {
    errors.invalid(p.child("targetportal"), s.targetPortal.view(),
                   "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified.");
  }
  v1::ISCSIVolumeSource plain;
  plain.targetPortal = s.targetPortal;
  plain.iqn = s.iqn;
  plain.lun = s.lun;
  plain.chapAuthDiscovery = s.chapAuthDiscovery;
  plain.chapAuthSession = s.chapAuthSession;
  plain.initiatorName = s.initiatorName;
  if (s.secretRef) plain.secretRef.ensure().name = s.secretRef->name;
  registry::validateSource(plain, p, errors);
  if (s.secretRef) need(s.secretRef->name, "name", p.child("secretRef"), errors);
}

// One source; of a second one upstream only tells that it is one too many.
class Sources {
 public:
  Sources(const Path& p, FieldErrors& errors) : p_(p), errors_(errors) {}

  template <typename Box, typename Check>
  void take(const Box& source, std::string_view field, Check check) {
    if (!source) return;
    if (count_++ > 0) return errors_.forbidden(p_.child(field), "may not specify more than 1 volume type");
    check(*source, p_.child(field), errors_);
  }
  bool none() const { return count_ == 0; }

 private:
  const Path& p_;
  FieldErrors& errors_;
  int count_ = 0;
};

void validateSources(const v1::PersistentVolumeSpec& s, std::string_view name, const Path& p, FieldErrors& errors) {
  Sources sources(p, errors);
  auto own = [](const auto& source, const Path& at, FieldErrors& e) { validateSource(source, at, e); };
  auto shared = [](const auto& source, const Path& at, FieldErrors& e) { registry::validateSource(source, at, e); };
  sources.take(s.hostPath, "hostPath", [](const auto& source, const Path& at, FieldErrors& e) { validateHostPath(source, at, e); });
  sources.take(s.gcePersistentDisk, "gcePersistentDisk", [&](const auto& source, const Path&, FieldErrors& e) {
    registry::validateSource(source, p.child("persistentDisk"), e);
  });
  sources.take(s.awsElasticBlockStore, "awsElasticBlockStore", shared);
  sources.take(s.glusterfs, "glusterfs", own);
  sources.take(s.flocker, "flocker", shared);
  sources.take(s.nfs, "nfs", shared);
  sources.take(s.rbd, "rbd", own);
  sources.take(s.quobyte, "quobyte", shared);
  sources.take(s.cephfs, "cephfs", own);
  sources.take(s.iscsi, "iscsi", [&](const auto& source, const Path& at, FieldErrors& e) { validateIscsi(source, name, at, e); });
  sources.take(s.cinder, "cinder", own);
  sources.take(s.fc, "fc", shared);
  sources.take(s.flexVolume, "flexVolume", own);
  sources.take(s.azureFile, "azureFile", own);
  sources.take(s.vsphereVolume, "vsphereVolume", shared);
  sources.take(s.photonPersistentDisk, "photonPersistentDisk", shared);
  sources.take(s.portworxVolume, "portworxVolume", shared);
  sources.take(s.azureDisk, "azureDisk", shared);
  sources.take(s.scaleIO, "scaleIO", own);
  sources.take(s.local, "local", [&](const auto& source, const Path& at, FieldErrors& e) {
    validateSource(source, at, e);
    if (!s.nodeAffinity) e.required(p.child("nodeAffinity"), "Local volume requires node affinity");
  });
  sources.take(s.storageos, "storageos", own);
  sources.take(s.csi, "csi", own);
  if (sources.none()) errors.required(p, "must specify a volume type");
}

void validateModes(const codec::List<codec::String>& modes, const Path& p, FieldErrors& errors) {
  if (modes.empty()) errors.required(p, "");
  bool pod = false, others = false;
  for (const auto& m : modes) {
    bool known = isIn(m, {"ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"});
    if (!known) errors.notSupported(p, m.view(), {"ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"});
    if (m == "ReadWriteOncePod") {
      pod = true;
    } else if (known) {
      others = true;
    }
  }
  if (pod && others) errors.forbidden(p, "may not use ReadWriteOncePod with other access modes");
}

void validateCapacity(const codec::Map<codec::Quantity>& capacity, const Path& p, FieldErrors& errors) {
  if (capacity.empty()) errors.required(p, "");
  if (!capacity.contains("storage") || capacity.size() > 1) {
    std::string shown = "{";
    for (const auto& [name, q] : capacity) {
      shown += fmt::format("{}{}:{}", shown.size() > 1 ? "," : "", api::goQuote(name), api::goQuote(q.str()));
    }
    errors.notSupported(p, BadValue::raw(capacity.empty() ? "null" : shown + "}"), {"storage"});
  }
  for (const auto& [name, q] : capacity) {
    if (q.value() < 0) errors.invalid(p.key(name), q.value(), "must be a valid resource quantity");
    if (q.sign() <= 0) errors.invalid(p.key(name), q.str(), kPositive);
  }
}

// Mount options make sense for what is mounted by the host.
void validateMountOptions(const v1::PersistentVolume& pv, FieldErrors& errors) {
  const auto& s = pv.spec;
  bool supported = s.gcePersistentDisk || s.awsElasticBlockStore || s.glusterfs || s.nfs || s.rbd || s.quobyte || s.iscsi || s.cinder ||
                   s.cephfs || s.azureFile || s.vsphereVolume || s.azureDisk || s.photonPersistentDisk || s.portworxVolume || s.scaleIO ||
                   s.storageos || s.csi;
  if (supported) return;
  Path meta("metadata");
  if (pv.metadata.annotations.contains(kOldOptions)) {
    errors.forbidden(meta.child("annotations").key(kOldOptions), "may not specify mount options for this volume type");
  }
  if (!s.mountOptions.empty()) errors.forbidden(Path("spec.mountOptions"), "may not specify mount options for this volume type");
}

std::string cleaned(std::string_view path) {
  std::string out = "/";
  for (std::string_view part : split(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      out = "/";
      continue;
    }
    out += part;
  }
  return out;
}

void validateVolume(const v1::PersistentVolume& pv, FieldErrors& errors) {
  const auto& s = pv.spec;
  Path p("spec");
  validateModes(s.accessModes, p.child("accessModes"), errors);
  validateCapacity(s.capacity, p.child("capacity"), errors);
  if (!s.persistentVolumeReclaimPolicy.empty() && !isIn(s.persistentVolumeReclaimPolicy, {"Delete", "Recycle", "Retain"})) {
    errors.notSupported(p.child("persistentVolumeReclaimPolicy"), s.persistentVolumeReclaimPolicy.view(), {"Delete", "Recycle", "Retain"});
  }
  if (s.nodeAffinity) {
    if (s.nodeAffinity->required) {
      validateNodeSelector(*s.nodeAffinity->required, p.child("nodeAffinity.required"), errors);
    } else {
      errors.required(p.child("nodeAffinity.required"), "must specify required node constraints");
    }
  }
  validateSources(s, pv.metadata.name, p, errors);
  if (s.hostPath && cleaned(s.hostPath->path) == "/" && s.persistentVolumeReclaimPolicy == "Recycle") {
    errors.forbidden(p.child("persistentVolumeReclaimPolicy"), "may not be 'recycle' for a hostPath mount of '/'");
  }
  if (!s.storageClassName.empty()) dnsSubdomain(s.storageClassName, p.child("storageClassName"), errors);
  if (s.volumeMode && !isIn(*s.volumeMode, {"Block", "Filesystem"})) {
    errors.notSupported(p.child("volumeMode"), s.volumeMode->view(), {"Block", "Filesystem"});
  }
  if (!s.volumeAttributesClassName) return;
  Path attributes = p.child("volumeAttributesClassName");
  if (s.volumeAttributesClassName->empty()) {
    errors.required(attributes, "an empty string is disallowed");
  } else {
    dnsSubdomain(*s.volumeAttributesClassName, attributes, errors);
  }
  if (!s.csi) errors.required(p.child("csi"), "has to be specified when using volumeAttributesClassName");
}

BadValue optional(const std::optional<codec::String>& v) { return v ? BadValue(v->view()) : BadValue::raw("null"); }

class PersistentVolumeStrategy : public OtherStrategy {
 public:
  void prepareForCreate(const Context& c, api::Object& o) const override {
    auto& pv = o.as<v1::PersistentVolume>();
    pv.status = {};
    pv.status.phase = "Pending";
    pv.status.lastPhaseTransitionTime = codec::Time(c.now);
  }
  void prepareForUpdate(const Context& c, api::Object& o, const api::Object& old) const override {
    if (c.subresource != "status") return copyPart(o, old, "status");
    copyPart(o, old, "spec");
    auto& now = o.as<v1::PersistentVolume>().status;
    const auto& was = old.as<v1::PersistentVolume>().status;
    if (now.phase == was.phase) {
      // Only an old client loses the time.
      if (!now.lastPhaseTransitionTime) now.lastPhaseTransitionTime = was.lastPhaseTransitionTime;
    } else if (!now.lastPhaseTransitionTime || now.lastPhaseTransitionTime == was.lastPhaseTransitionTime) {
      now.lastPhaseTransitionTime = codec::Time(c.now);
    }
  }
  void validateCreate(const Context&, const api::Object& o, FieldErrors& errors) const override {
    const auto& pv = o.as<v1::PersistentVolume>();
    validateVolume(pv, errors);
    validateMountOptions(pv, errors);
  }
  void validateUpdate(const Context& c, const api::Object& o, const api::Object& old, FieldErrors& errors) const override {
    validateCreate(c, o, errors);
    v1::PersistentVolumeSpec now = o.as<v1::PersistentVolume>().spec;
    const auto& was = old.as<v1::PersistentVolume>().spec;
    validateVolume(o.as<v1::PersistentVolume>(), errors);
    if (now.csi && was.csi && !was.csi->controllerExpandSecretRef) now.csi->controllerExpandSecretRef.reset();
    const v1::PersistentVolumeSource &a = was, &b = now;
    if (!codec::equal(&a, &b, v1::PersistentVolumeSource::kType)) {
      errors.forbidden(Path("spec.persistentvolumesource"),
                       "spec.persistentvolumesource is immutable after creation\n" + goDiff(a, b));
    }
    immutable(now.volumeMode == was.volumeMode, Path("volumeMode"), optional(now.volumeMode), errors);
    if (was.nodeAffinity) {
      bool same = now.nodeAffinity && codec::equal(now.nodeAffinity.get(), was.nodeAffinity.get(), v1::VolumeNodeAffinity::kType);
      immutable(same, Path("nodeAffinity"), now.nodeAffinity ? structValue(*now.nodeAffinity) : BadValue::raw("null"), errors);
    }
    if (was.volumeAttributesClassName && !now.volumeAttributesClassName) {
      errors.forbidden(Path("spec.volumeAttributesClassName"), "update from non-nil value to nil is forbidden");
    }
  }
  void warnings(const Context& c, const api::Object& o, const api::Object*) const override {
    if (c.subresource == "status") return;
    const auto& pv = o.as<v1::PersistentVolume>();
    Path annotations("metadata.annotations"), p("spec");
    auto tell = [&](bool has, const Path& at, std::string_view text) {
      if (has) c.warn(fmt::format("{}: {}", at.str(), text));
    };
    tell(pv.metadata.annotations.contains(kOldClass), annotations.key(kOldClass),
         "deprecated since v1.8; use \"storageClassName\" attribute instead");
    tell(pv.metadata.annotations.contains(kOldOptions), annotations.key(kOldOptions),
         "deprecated since v1.31; use \"mountOptions\" attribute instead");
    tell(pv.spec.persistentVolumeReclaimPolicy == "Recycle", p.child("persistentVolumeReclaimPolicy"),
         "The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.");
    if (pv.spec.nodeAffinity && pv.spec.nodeAffinity->required) {
      const auto& terms = pv.spec.nodeAffinity->required->nodeSelectorTerms;
      std::vector<std::string> out;
      for (size_t i = 0; i < terms.size(); i++) {
        nodeSelectorTermWarnings(terms[i], false, p.child("nodeAffinity.required.nodeSelectorTerms").index(i), out);
      }
      for (std::string& w : out) c.warn(std::move(w));
    }
    tell(bool(pv.spec.cephfs), p.child("cephfs"), "deprecated in v1.28, non-functional in v1.31+");
    tell(bool(pv.spec.photonPersistentDisk), p.child("photonPersistentDisk"), "deprecated in v1.11, non-functional in v1.16+");
    tell(bool(pv.spec.scaleIO), p.child("scaleIO"), "deprecated in v1.16, non-functional in v1.22+");
    tell(bool(pv.spec.storageos), p.child("storageOS"), "deprecated in v1.22, non-functional in v1.25+");
    tell(bool(pv.spec.glusterfs), p.child("glusterfs"), "deprecated in v1.25, non-functional in v1.26+");
    tell(bool(pv.spec.rbd), p.child("rbd"), "deprecated in v1.28, non-functional in v1.31+");
  }
};

}  // namespace

void validateInlineVolume(const v1::PersistentVolumeSpec& s, const Path& p, FieldErrors& errors) {
  auto none = [&](bool has, std::string_view field) {
    if (has) errors.forbidden(p.child(field), "may not be specified in the context of inline volumes");
  };
  none(bool(s.claimRef), "claimRef");
  none(!s.capacity.empty(), "capacity");
  if (!s.csi) errors.required(p.child("csi"), "has to be specified in the context of inline volumes");
  validateModes(s.accessModes, p.child("accessModes"), errors);
  if (!s.persistentVolumeReclaimPolicy.empty() && s.persistentVolumeReclaimPolicy != "Retain") {
    errors.forbidden(p.child("persistentVolumeReclaimPolicy"), "may only be Retain in the context of inline volumes");
  }
  none(bool(s.nodeAffinity), "nodeAffinity");
  validateSources(s, "", p, errors);
  none(!s.storageClassName.empty(), "storageClassName");
  if (s.volumeMode && *s.volumeMode != "Filesystem") {
    errors.forbidden(p.child("volumeMode"), "may not specify volumeMode other than Filesystem in the context of inline volumes");
  }
}

std::unique_ptr<Strategy> makePersistentVolume() { return std::make_unique<PersistentVolumeStrategy>(); }

}  // namespace km::registry
