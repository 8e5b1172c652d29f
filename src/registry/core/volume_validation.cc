// Volumes of pods.
#include <fmt/format.h>

#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"
#include "base/strings.h"
#include "registry/core/claim_validation.h"
#include "registry/core/pod_parts.h"
#include "registry/core/volume_sources.h"

namespace km::registry {

namespace v1 = api::core_v1;

void validateNoBacksteps(std::string_view path, const Path& p, FieldErrors& errors) {
  for (std::string_view part : split(path, '/')) {
    if (part == "..") return errors.invalid(p, path, "must not contain '..'");
  }
}

void validateDescendingPath(std::string_view path, const Path& p, FieldErrors& errors) {
  if (path.starts_with('/')) errors.invalid(p, path, "must be a relative path");
  validateNoBacksteps(path, p, errors);
}

void validateLocalPath(std::string_view path, const Path& p, FieldErrors& errors) {
  validateDescendingPath(path, p, errors);
  if (path.starts_with("..") && !path.starts_with("../")) errors.invalid(p, path, "must not start with '..'");
}

namespace {

constexpr std::string_view kMode = "must be a number between 0 and 0777 (octal), both inclusive";

void validateMode(const std::optional<int32_t>& mode, const Path& p, FieldErrors& errors) {
  if (mode && (*mode > 0777 || *mode < 0)) errors.invalid(p, *mode, kMode);
}

void validateItem(const v1::KeyToPath& k, const Path& p, FieldErrors& errors) {
  if (k.key.empty()) errors.required(p.child("key"), "");
  if (k.path.empty()) errors.required(p.child("path"), "");
  validateLocalPath(k.path, p.child("path"), errors);
  validateMode(k.mode, p.child("mode"), errors);
}

void validateDownwardFile(const v1::DownwardAPIVolumeFile& f, const Path& p, FieldErrors& errors) {
  if (f.path.empty()) errors.required(p.child("path"), "");
  validateLocalPath(f.path, p.child("path"), errors);
  if (f.fieldRef) {
    validateFieldRef(*f.fieldRef, true, p.child("fieldRef"), errors);
    if (f.resourceFieldRef) errors.invalid(p, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously");
  } else if (f.resourceFieldRef) {
    validateResourceFieldRef(*f.resourceFieldRef, true, p.child("resourceFieldRef"), errors);
  } else {
    errors.required(p, "one of fieldRef and resourceFieldRef is required");
  }
  validateMode(f.mode, p.child("mode"), errors);
}

// Checks one part of a projected volume; `take` notes a path that must be its only one.
template <typename Take>
int validateProjection(const v1::VolumeProjection& s, const Path& p, const Path& volume, Take take, FieldErrors& errors) {
  int sources = 0;
  auto items = [&](const auto& source, std::string_view kind) {
    sources++;
    if (source.name.empty()) errors.required(p.child(kind).child("name"), "");
    for (size_t i = 0; i < source.items.size(); i++) {
      validateItem(source.items[i], p.child(kind).child("items").index(i), errors);
      take(source.items[i].path, source.name);
    }
  };
  if (s.secret) items(*s.secret, "secret");
  if (s.configMap) items(*s.configMap, "configMap");
  if (s.downwardAPI) {
    sources++;
    for (const auto& f : s.downwardAPI->items) {
      validateDownwardFile(f, p.child("downwardAPI"), errors);
      take(f.path, f.path);
    }
  }
  if (s.serviceAccountToken) {
    sources++;
    const auto& t = *s.serviceAccountToken;
    int64_t seconds = t.expirationSeconds.value_or(0);
    Path at = p.child("serviceAccountToken").child("expirationSeconds");
    if (seconds < 600) errors.invalid(at, seconds, "may not specify a duration less than 10 minutes");
    if (seconds > int64_t{1} << 32) errors.invalid(at, seconds, "may not specify a duration larger than 2^32 seconds");
    if (t.path.empty()) {
      errors.required(volume.child("path"), "");
    } else {
      validateLocalPath(t.path, volume.child("path"), errors);
    }
  }
  return sources;
}

void validateProjected(const v1::ProjectedVolumeSource& v, const Path& p, FieldErrors& errors) {
  validateMode(v.defaultMode, p.child("defaultMode"), errors);
  std::set<std::string> paths;
  auto take = [&](std::string_view path, std::string_view shown) {
    if (!path.empty() && !paths.emplace(path).second) errors.invalid(p, shown, "conflicting duplicate paths");
  };
  for (size_t i = 0; i < v.sources.size(); i++) {
    Path at = p.child("sources").index(i);
    if (validateProjection(v.sources[i], at, p, take, errors) > 1) {
      errors.forbidden(at, "may not specify more than 1 volume type per source");
    }
  }
}

void validateEphemeral(const v1::Volume& v, const api::meta_v1::ObjectMeta* meta, const Path& p, FieldErrors& errors) {
  Path at = p.child("ephemeral");
  if (!v.ephemeral->volumeClaimTemplate) {
    errors.required(at.child("volumeClaimTemplate"), "");
  } else {
    validateClaimTemplate(*v.ephemeral->volumeClaimTemplate, at.child("volumeClaimTemplate"), errors);
  }
  if (meta == nullptr || meta->name.empty() || v.name.empty()) return;
  std::string claim = fmt::format("{}-{}", meta->name, v.name);
  for (const auto& m : api::isDns1123Subdomain(claim)) {
    errors.invalid(p.child("name"), v.name.view(), fmt::format("PVC name {}: {}", api::goQuote(claim), m));
  }
}

}  // namespace

void validateHostPath(const v1::HostPathVolumeSource& s, const Path& p, FieldErrors& errors) {
  if (s.path.empty()) return errors.required(p.child("path"), "");
  validateNoBacksteps(s.path, p.child("path"), errors);
  if (s.type && !isIn(*s.type, {"", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"})) {
    errors.notSupported(p.child("type"), s.type->view(),
                        {"", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"});
  }
}

namespace {

template <typename Source>
void validateItems(const Source& s, std::string_view name, std::string_view nameField, const Path& p, FieldErrors& errors) {
  if (name.empty()) errors.required(p.child(nameField), "");
  validateMode(s.defaultMode, p.child("defaultMode"), errors);
  for (size_t i = 0; i < s.items.size(); i++) validateItem(s.items[i], p.child("items").index(i), errors);
}

void validateVolume(const v1::Volume& v, const api::meta_v1::ObjectMeta* meta, bool isPod, const Path& p, FieldErrors& errors) {
  int count = 0;
  // Whether the source is there and the first one.
  auto first = [&](bool set, std::string_view field) {
    if (!set) return false;
    if (count++ == 0) return true;
    count = 1;
    errors.forbidden(p.child(field), "may not specify more than 1 volume type");
    return false;
  };
  if (v.emptyDir) {
    count++;
    if (v.emptyDir->sizeLimit && v.emptyDir->sizeLimit->sign() < 0) {
      errors.forbidden(p.child("emptyDir").child("sizeLimit"), "SizeLimit field must be a valid resource quantity");
    }
  }
  if (first(v.hostPath.has_value(), "hostPath")) validateHostPath(*v.hostPath, p.child("hostPath"), errors);
  if (first(v.gitRepo.has_value(), "gitRepo")) validateSource(*v.gitRepo, p.child("gitRepo"), errors);
  if (first(v.gcePersistentDisk.has_value(), "gcePersistentDisk")) {
    validateSource(*v.gcePersistentDisk, p.child("persistentDisk"), errors);
  }
  if (first(v.awsElasticBlockStore.has_value(), "awsElasticBlockStore")) {
    validateSource(*v.awsElasticBlockStore, p.child("awsElasticBlockStore"), errors);
  }
  if (first(v.secret.has_value(), "secret")) validateItems(*v.secret, v.secret->secretName, "secretName", p.child("secret"), errors);
  if (first(v.nfs.has_value(), "nfs")) validateSource(*v.nfs, p.child("nfs"), errors);
  if (first(v.iscsi.has_value(), "iscsi")) validateSource(*v.iscsi, p.child("iscsi"), errors);
  if (v.iscsi && v.iscsi->initiatorName && v.name.size() + 1 + v.iscsi->targetPortal.size() > 64) {
    errors.invalid(p.child("name"), v.name.view(),
                   "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified.");
  }
  if (first(v.glusterfs.has_value(), "glusterfs")) validateSource(*v.glusterfs, p.child("glusterfs"), errors);
  if (first(v.flocker.has_value(), "flocker")) validateSource(*v.flocker, p.child("flocker"), errors);
  if (first(v.persistentVolumeClaim.has_value(), "persistentVolumeClaim") && v.persistentVolumeClaim->claimName.empty()) {
    errors.required(p.child("persistentVolumeClaim").child("claimName"), "");
  }
  if (first(v.rbd.has_value(), "rbd")) validateSource(*v.rbd, p.child("rbd"), errors);
  if (first(v.cinder.has_value(), "cinder")) validateSource(*v.cinder, p.child("cinder"), errors);
  if (first(v.cephfs.has_value(), "cephFS")) validateSource(*v.cephfs, p.child("cephfs"), errors);
  if (first(v.quobyte.has_value(), "quobyte")) validateSource(*v.quobyte, p.child("quobyte"), errors);
  if (first(v.downwardAPI.has_value(), "downwarAPI")) {
    validateMode(v.downwardAPI->defaultMode, p.child("downwardAPI").child("defaultMode"), errors);
    for (const auto& f : v.downwardAPI->items) validateDownwardFile(f, p.child("downwardAPI"), errors);
  }
  if (first(v.fc.has_value(), "fc")) validateSource(*v.fc, p.child("fc"), errors);
  if (first(v.flexVolume.has_value(), "flexVolume")) validateSource(*v.flexVolume, p.child("flexVolume"), errors);
  if (first(v.configMap.has_value(), "configMap")) validateItems(*v.configMap, v.configMap->name, "name", p.child("configMap"), errors);
  if (first(v.azureFile.has_value(), "azureFile")) validateSource(*v.azureFile, p.child("azureFile"), errors);
  if (first(v.vsphereVolume.has_value(), "vsphereVolume")) validateSource(*v.vsphereVolume, p.child("vsphereVolume"), errors);
  if (first(v.photonPersistentDisk.has_value(), "photonPersistentDisk")) {
    validateSource(*v.photonPersistentDisk, p.child("photonPersistentDisk"), errors);
  }
  if (first(v.portworxVolume.has_value(), "portworxVolume")) validateSource(*v.portworxVolume, p.child("portworxVolume"), errors);
  if (first(v.azureDisk.has_value(), "azureDisk")) validateSource(*v.azureDisk, p.child("azureDisk"), errors);
  if (first(v.storageos.has_value(), "storageos")) validateSource(*v.storageos, p.child("storageos"), errors);
  if (first(v.projected.has_value(), "projected")) validateProjected(*v.projected, p.child("projected"), errors);
  if (first(v.scaleIO.has_value(), "scaleIO")) validateSource(*v.scaleIO, p.child("scaleIO"), errors);
  if (first(v.csi.has_value(), "csi")) validateSource(*v.csi, p.child("csi"), errors);
  if (first(v.ephemeral.has_value(), "ephemeral")) validateEphemeral(v, meta, p, errors);
  if (first(v.image.has_value(), "image")) {
    Path at = p.child("image");
    if (isPod && v.image->reference.empty()) errors.required(at.child("reference"), "");
    oneOf(v.image->pullPolicy, {"Always", "IfNotPresent", "Never"}, at.child("pullPolicy"), errors);
  }
  if (count == 0) errors.required(p, "must specify a volume type");
}

}  // namespace

void validateVolumes(PodContext& c, const api::meta_v1::ObjectMeta* meta, const Path& p, FieldErrors& errors) {
  const auto& list = c.spec->volumes;
  std::set<std::string> created;
  if (meta != nullptr && !meta->name.empty()) {
    for (const auto& v : list) {
      if (v.ephemeral) created.insert(fmt::format("{}-{}", meta->name, v.name));
    }
  }
  for (size_t i = 0; i < list.size(); i++) {
    const auto& v = list[i];
    Path at = p.index(i);
    FieldErrors bad;
    validateVolume(v, meta, c.isPod, at, bad);
    if (v.name.empty()) {
      bad.required(at.child("name"), "");
    } else {
      dnsLabel(v.name, at.child("name"), bad);
    }
    if (c.volumes.count(v.name.str())) bad.duplicate(at.child("name"), v.name.view());
    if (bad.empty()) c.volumes[v.name.str()] = &v;
    errors.add(bad);
    if (v.persistentVolumeClaim && created.count(v.persistentVolumeClaim->claimName.str())) {
      errors.invalid(at.child("persistentVolumeClaim").child("claimName"), v.persistentVolumeClaim->claimName.view(),
                     "must not reference a PVC that gets created for an ephemeral volume");
    }
  }
}

}  // namespace km::registry
