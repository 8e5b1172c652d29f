// The sources of volumes that a plugin or a driver outside provides, of pods (and where they are the same, of persistent volumes).
#pragma once

#include "registry/rules.h"

namespace km::registry {

void validateHostPath(const api::core_v1::HostPathVolumeSource& s, const Path& p, FieldErrors& errors);  // volume_validation.cc
void validateSource(const api::core_v1::GitRepoVolumeSource& s, const Path& p, FieldErrors& errors);
void validateSource(const api::core_v1::GCEPersistentDiskVolumeSource& s, const Path& p, FieldErrors& errors);
void validateSource(const api::core_v1::AWSElasticBlockStoreVolumeSource& s, const Path& p, FieldErrors& errors);
void validateSource(const api::core_v1::NFSVolumeSource& s, const Path& p, FieldErrors& errors);
void validateSource(const api::core_v1::ISCSIVolumeSource& s, const Path& p, FieldErrors& errors);
void validateSource(const api::core_v1::GlusterfsVolumeSource& s, const Path& p, FieldErrors& errors);
void validateSource(const api::core_v1::FlockerVolumeSource& s, const Path& p, FieldErrors& errors);
void validateSource(const api::core_v1::RBDVolumeSource& s, const Path& p, FieldErrors& errors);
void validateSource(const api::core_v1::CinderVolumeSource& s, const Path& p, FieldErrors& errors);
void validateSource(const api::core_v1::CephFSVolumeSource& s, const Path& p, FieldErrors& errors);
void validateSource(const api::core_v1::QuobyteVolumeSource& s, const Path& p, FieldErrors& errors);
void validateSource(const api::core_v1::FCVolumeSource& s, const Path& p, FieldErrors& errors);
void validateSource(const api::core_v1::FlexVolumeSource& s, const Path& p, FieldErrors& errors);
void validateSource(const api::core_v1::AzureFileVolumeSource& s, const Path& p, FieldErrors& errors);
void validateSource(const api::core_v1::VsphereVirtualDiskVolumeSource& s, const Path& p, FieldErrors& errors);
void validateSource(const api::core_v1::PhotonPersistentDiskVolumeSource& s, const Path& p, FieldErrors& errors);
void validateSource(const api::core_v1::PortworxVolumeSource& s, const Path& p, FieldErrors& errors);
void validateSource(const api::core_v1::AzureDiskVolumeSource& s, const Path& p, FieldErrors& errors);
void validateSource(const api::core_v1::StorageOSVolumeSource& s, const Path& p, FieldErrors& errors);
void validateSource(const api::core_v1::ScaleIOVolumeSource& s, const Path& p, FieldErrors& errors);
void validateSource(const api::core_v1::CSIVolumeSource& s, const Path& p, FieldErrors& errors);
void validateCsiDriverName(std::string_view name, const Path& p, FieldErrors& errors);

}  // namespace km::registry
