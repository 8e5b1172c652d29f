#include "registry/core/claim_validation.h"

#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"
#include "codec/ops.h"
#include "registry/metadata.h"

namespace km::registry {

namespace v1 = api::core_v1;

namespace {

template <typename Ref>
void validateDataSource(const Ref& r, const Path& p, FieldErrors& errors) {
  if (r.name.empty()) errors.required(p.child("name"), "");
  if (r.kind.empty()) errors.required(p.child("kind"), "");
  std::string_view group = r.apiGroup ? r.apiGroup->view() : "";
  if (group.empty() && r.kind != "PersistentVolumeClaim") {
    errors.invalid(p, r.kind.view(), "must be 'PersistentVolumeClaim' when referencing the default apiGroup");
  }
  if (!group.empty()) dnsSubdomain(group, p.child("apiGroup"), errors);
}

}  // namespace

void validateClaimSpec(const v1::PersistentVolumeClaimSpec& s, const Path& p, FieldErrors& errors) {
  Path modes = p.child("accessModes");
  if (s.accessModes.empty()) errors.required(modes, "at least 1 access mode is required");
  if (s.selector) validateLabelSelector(*s.selector, p.child("selector"), errors);
  bool pod = false, others = false;
  for (const auto& m : s.accessModes) {
    bool known = isIn(m, {"ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"});
    if (!known) errors.notSupported(modes, m.view(), {"ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"});
    if (m == "ReadWriteOncePod") {
      pod = true;
    } else if (known) {
      others = true;
    }
  }
  if (pod && others) errors.forbidden(modes, "may not use ReadWriteOncePod with other access modes");
  Path storage = p.child("resources").key("storage");
  const codec::Quantity* size = s.resources.requests.find("storage");
  if (size == nullptr) {
    errors.required(storage, "");
  } else if (size->sign() <= 0) {
    errors.invalid(storage, size->str(), kPositive);
  }
  auto className = [&](const std::optional<codec::String>& name, std::string_view field) {
    if (name && !name->empty()) dnsSubdomain(*name, p.child(field), errors);
  };
  className(s.storageClassName, "storageClassName");
  if (s.volumeMode && !isIn(*s.volumeMode, {"Block", "Filesystem"})) {
    errors.notSupported(p.child("volumeMode"), s.volumeMode->view(), {"Block", "Filesystem"});
  }
  if (s.dataSource) validateDataSource(*s.dataSource, p.child("dataSource"), errors);
  if (s.dataSourceRef) {
    validateDataSource(*s.dataSourceRef, p.child("dataSourceRef"), errors);
    const auto& ns = s.dataSourceRef->namespace_;
    if (ns && !ns->empty()) dnsLabel(*ns, p.child("dataSourceRef").child("namespace"), errors);
    BadValue shown = BadValue::raw("{}");
    if (ns && !ns->empty()) {
      if (s.dataSource) errors.invalid(p, shown, "may not be specified when dataSourceRef.namespace is specified");
    } else if (s.dataSource && !(s.dataSource->apiGroup == s.dataSourceRef->apiGroup && s.dataSource->kind == s.dataSourceRef->kind &&
                                 s.dataSource->name == s.dataSourceRef->name)) {
      errors.invalid(p, shown, "must match dataSourceRef");
    }
  }
  className(s.volumeAttributesClassName, "volumeAttributesClassName");
}

void validateClaimTemplate(const v1::PersistentVolumeClaimTemplate& t, const Path& p, FieldErrors& errors) {
  Path meta = p.child("metadata");
  validateAnnotations(t.metadata.annotations, meta.child("annotations"), errors);
  validateLabels(t.metadata.labels, meta.child("labels"), errors);
  for (const codec::Field& f : api::meta_v1::ObjectMeta::kType) {
    if (f.name == "labels" || f.name == "annotations") continue;
    if (!codec::isEmptyField(&t.metadata, f)) errors.forbidden(meta.child(f.name), "cannot be set");
  }
  validateClaimSpec(t.spec, p.child("spec"), errors);
}

}  // namespace km::registry
