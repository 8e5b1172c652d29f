#include "registry/core/volume_sources.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"
#include "base/strings.h"
#include "codec/list.h"
#include "registry/core/pod_parts.h"

namespace km::registry {

namespace v1 = api::core_v1;

namespace {

void need(std::string_view value, std::string_view field, const Path& p, FieldErrors& errors, std::string_view detail = "") {
  if (value.empty()) errors.required(p.child(field), detail);
}

void needSecretName(const codec::Box<v1::LocalObjectReference>& ref, const Path& p, FieldErrors& errors) {
  if (ref && ref->name.empty()) errors.required(p.child("secretRef.name"), "");
}

void validatePartition(int32_t partition, const Path& p, FieldErrors& errors) {
  if (partition < 0 || partition > 255) errors.invalid(p.child("partition"), partition, "must be between 1 and 255, inclusive");
}

bool alnum(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

// Names of iSCSI: iqn.YYYY-MM.domain:text, eui.16 characters, naa.32 characters.
bool isIscsiName(std::string_view s) {
  auto rest = [&](size_t n) {
    return s.size() == 4 + n && std::all_of(s.begin() + 4, s.end(), alnum);
  };
  if (s.starts_with("eui")) return rest(16);
  if (s.starts_with("naa")) return rest(32);
  if (!s.starts_with("iqn.") || s.size() < 13) return false;
  auto digits = [&](size_t from, size_t n) {
    return std::all_of(s.begin() + static_cast<long>(from), s.begin() + static_cast<long>(from + n), [](char c) { return c >= '0' && c <= '9'; });
  };
  if (!digits(4, 4) || s[8] != '-' || !digits(9, 2) || s[11] != '.') return false;
  size_t colon = s.find(':', 12);
  if (colon == std::string_view::npos || colon == 12 || colon + 1 == s.size()) return false;
  std::string_view domain = s.substr(12, colon - 12);
  if (!std::all_of(domain.begin(), domain.end(), [](char c) { return alnum(c) || c == '-' || c == '.'; })) return false;
  return s.substr(colon + 1).find_first_of(",;*&$| \t\n\r\f") == std::string_view::npos;
}

void validateIscsiName(std::string_view s, const Path& p, FieldErrors& errors) {
  if (!s.starts_with("iqn") && !s.starts_with("eui") && !s.starts_with("naa")) {
    errors.invalid(p, s, "must be valid format starting with iqn, eui, or naa");
  } else if (!isIscsiName(s)) {
    errors.invalid(p, s, "must be valid format");
  }
}

}  // namespace

void validateSource(const v1::GitRepoVolumeSource& s, const Path& p, FieldErrors& errors) {
  need(s.repository, "repository", p, errors);
  validateDescendingPath(s.directory, p.child("directory"), errors);
}
void validateSource(const v1::GCEPersistentDiskVolumeSource& s, const Path& p, FieldErrors& errors) {
  need(s.pdName, "pdName", p, errors);
  validatePartition(s.partition, p, errors);
}
void validateSource(const v1::AWSElasticBlockStoreVolumeSource& s, const Path& p, FieldErrors& errors) {
  need(s.volumeID, "volumeID", p, errors);
  validatePartition(s.partition, p, errors);
}
void validateSource(const v1::NFSVolumeSource& s, const Path& p, FieldErrors& errors) {
  need(s.server, "server", p, errors);
  need(s.path, "path", p, errors);
  if (!s.path.view().starts_with('/')) errors.invalid(p.child("path"), s.path.view(), "must be an absolute path");
}
void validateSource(const v1::ISCSIVolumeSource& s, const Path& p, FieldErrors& errors) {
  need(s.targetPortal, "targetPortal", p, errors);
  if (s.iqn.empty()) {
    errors.required(p.child("iqn"), "");
  } else {
    validateIscsiName(s.iqn, p.child("iqn"), errors);
  }
  if (s.lun < 0 || s.lun > 255) errors.invalid(p.child("lun"), s.lun, rangeText(0, 255));
  if ((s.chapAuthDiscovery || s.chapAuthSession) && !s.secretRef) errors.required(p.child("secretRef"), "");
  if (s.initiatorName) validateIscsiName(*s.initiatorName, p.child("initiatorname"), errors);
}
void validateSource(const v1::GlusterfsVolumeSource& s, const Path& p, FieldErrors& errors) {
  need(s.endpoints, "endpoints", p, errors);
  need(s.path, "path", p, errors);
}
void validateSource(const v1::FlockerVolumeSource& s, const Path& p, FieldErrors& errors) {
  if (s.datasetName.empty() && s.datasetUUID.empty()) errors.required(p, "one of datasetName and datasetUUID is required");
  if (!s.datasetName.empty() && !s.datasetUUID.empty()) {
    errors.invalid(p, "resource", "datasetName and datasetUUID can not be specified simultaneously");
  }
  if (contains(s.datasetName, "/")) errors.invalid(p.child("datasetName"), s.datasetName.view(), "must not contain '/'");
}
void validateSource(const v1::RBDVolumeSource& s, const Path& p, FieldErrors& errors) {
  if (s.monitors.empty()) errors.required(p.child("monitors"), "");
  need(s.image, "image", p, errors);
}
void validateSource(const v1::CinderVolumeSource& s, const Path& p, FieldErrors& errors) {
  need(s.volumeID, "volumeID", p, errors);
  needSecretName(s.secretRef, p, errors);
}
void validateSource(const v1::CephFSVolumeSource& s, const Path& p, FieldErrors& errors) {
  if (s.monitors.empty()) errors.required(p.child("monitors"), "");
}
void validateSource(const v1::QuobyteVolumeSource& s, const Path& p, FieldErrors& errors) {
  constexpr std::string_view kPairs = "must be a host:port pair or multiple pairs separated by commas";
  if (s.registry.empty()) {
    errors.required(p.child("registry"), kPairs);
  } else if (s.tenant.size() >= 65) {
    errors.required(p.child("tenant"), "must be a UUID and may not exceed a length of 64 characters");
  } else {
    for (std::string_view pair : split(s.registry, ',')) {
      size_t colon = pair.rfind(':');
      if (colon == std::string_view::npos || pair.find(':') != colon) {
        errors.invalid(p.child("registry"), s.registry.view(), kPairs);
      }
    }
  }
  need(s.volume, "volume", p, errors);
}
void validateSource(const v1::FCVolumeSource& s, const Path& p, FieldErrors& errors) {
  if (s.targetWWNs.empty() && s.wwids.empty()) {
    errors.required(p.child("targetWWNs"), "must specify either targetWWNs or wwids, but not both");
  }
  if (!s.targetWWNs.empty() && !s.wwids.empty()) {
    errors.invalid(p.child("targetWWNs"), listValue(s.targetWWNs), "targetWWNs and wwids can not be specified simultaneously");
  }
  if (s.targetWWNs.empty()) return;
  if (!s.lun) {
    errors.required(p.child("lun"), "lun is required if targetWWNs is specified");
  } else if (*s.lun < 0 || *s.lun > 255) {
    errors.invalid(p.child("lun"), *s.lun, rangeText(0, 255));
  }
}
void validateSource(const v1::FlexVolumeSource& s, const Path& p, FieldErrors& errors) {
  need(s.driver, "driver", p, errors);
  for (const auto& [key, value] : s.options) {
    std::string ns = "." + toLower(key.view().substr(0, key.view().find('/')));
    if (ns.ends_with(".kubernetes.io") || ns.ends_with(".k8s.io")) {
      errors.invalid(p.child("options").key(key), key.view(), "kubernetes.io and k8s.io namespaces are reserved");
    }
  }
}
void validateSource(const v1::AzureFileVolumeSource& s, const Path& p, FieldErrors& errors) {
  need(s.secretName, "secretName", p, errors);
  need(s.shareName, "shareName", p, errors);
}
void validateSource(const v1::VsphereVirtualDiskVolumeSource& s, const Path& p, FieldErrors& errors) {
  need(s.volumePath, "volumePath", p, errors);
}
void validateSource(const v1::PhotonPersistentDiskVolumeSource& s, const Path& p, FieldErrors& errors) {
  need(s.pdID, "pdID", p, errors);
}
void validateSource(const v1::PortworxVolumeSource& s, const Path& p, FieldErrors& errors) { need(s.volumeID, "volumeID", p, errors); }
void validateSource(const v1::AzureDiskVolumeSource& s, const Path& p, FieldErrors& errors) {
  need(s.diskName, "diskName", p, errors);
  need(s.diskURI, "diskURI", p, errors);
  if (s.cachingMode && !isIn(*s.cachingMode, {"None", "ReadOnly", "ReadWrite"})) {
    errors.notSupported(p.child("cachingMode"), s.cachingMode->view(), {"None", "ReadOnly", "ReadWrite"});
  }
  if (!s.kind) return;
  if (!isIn(*s.kind, {"Dedicated", "Managed", "Shared"})) {
    errors.notSupported(p.child("kind"), s.kind->view(), {"Dedicated", "Managed", "Shared"});
  }
  bool managed = *s.kind == "Managed";
  if (managed && !s.diskURI.view().starts_with("/subscriptions/")) {
    errors.notSupported(p.child("diskURI"), s.diskURI.view(),
                        {"/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}"});
  }
  if (!managed && !s.diskURI.view().starts_with("https://")) {
    errors.notSupported(p.child("diskURI"), s.diskURI.view(),
                        {"https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"});
  }
}
void validateSource(const v1::StorageOSVolumeSource& s, const Path& p, FieldErrors& errors) {
  if (s.volumeName.empty()) {
    errors.required(p.child("volumeName"), "");
  } else {
    dnsLabel(s.volumeName, p.child("volumeName"), errors);
  }
  if (!s.volumeNamespace.empty()) dnsLabel(s.volumeNamespace, p.child("volumeNamespace"), errors);
  needSecretName(s.secretRef, p, errors);
}
void validateSource(const v1::ScaleIOVolumeSource& s, const Path& p, FieldErrors& errors) {
  need(s.gateway, "gateway", p, errors);
  need(s.system, "system", p, errors);
  need(s.volumeName, "volumeName", p, errors);
}

void validateCsiDriverName(std::string_view name, const Path& p, FieldErrors& errors) {
  if (name.empty()) return errors.required(p, "");
  if (name.size() > 63) errors.tooLong(p, 63);
  errors.each(p, name, api::isDns1123Subdomain(toLower(name)));
}

void validateSource(const v1::CSIVolumeSource& s, const Path& p, FieldErrors& errors) {
  validateCsiDriverName(s.driver, p.child("driver"), errors);
  if (!s.nodePublishSecretRef) return;
  const auto& name = s.nodePublishSecretRef->name;
  if (name.empty()) {
    errors.required(p.child("nodePublishSecretRef.name"), "");
  } else {
    errors.each(p.child("name"), name.view(), api::isDns1123Subdomain(name));
  }
}

}  // namespace km::registry
