#include <fmt/format.h>

#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"
#include "codec/ops.h"
#include "registry/core/claim_validation.h"
#include "registry/core/pod_warnings.h"
#include "registry/go_json.h"
#include "registry/kinds.h"
#include "registry/other_columns.h"
#include "registry/rules.h"

namespace km::registry {

namespace v1 = api::core_v1;

namespace {

constexpr std::string_view kOldClass = "volume.beta.kubernetes.io/storage-class";

bool isOldSource(const v1::TypedLocalObjectReference& r) {
  std::string_view group = r.apiGroup ? r.apiGroup->view() : "";
  return (r.kind == "PersistentVolumeClaim" && group.empty()) || (r.kind == "VolumeSnapshot" && group == "snapshot.storage.k8s.io");
}

// Drops sources that are not served, and lets the two fields say the same.
void settleSources(v1::PersistentVolumeClaimSpec& s, const v1::PersistentVolumeClaimSpec* old) {
  bool refInUse = old != nullptr && old->dataSourceRef;
  bool elsewhere = s.dataSourceRef && s.dataSourceRef->namespace_ && !s.dataSourceRef->namespace_->empty();
  if (elsewhere && !refInUse) s.dataSourceRef.reset();
  bool inUse = old != nullptr && (old->dataSource || old->dataSourceRef);
  if (!inUse && !s.dataSourceRef && s.dataSource && !isOldSource(*s.dataSource)) s.dataSource.reset();
  if (s.dataSource && !s.dataSourceRef) {
    auto& r = s.dataSourceRef.ensure();
    r.apiGroup = s.dataSource->apiGroup;
    r.kind = s.dataSource->kind;
    r.name = s.dataSource->name;
  } else if (s.dataSourceRef && !s.dataSource && !(s.dataSourceRef->namespace_ && !s.dataSourceRef->namespace_->empty())) {
    auto& r = s.dataSource.ensure();
    r.apiGroup = s.dataSourceRef->apiGroup;
    r.kind = s.dataSourceRef->kind;
    r.name = s.dataSourceRef->name;
  }
}

BadValue optional(const std::optional<codec::String>& v) { return v ? BadValue(v->view()) : BadValue::raw("null"); }

codec::Quantity sizeOf(const codec::Map<codec::Quantity>& list) {
  const codec::Quantity* q = list.find("storage");
  return q != nullptr ? *q : codec::Quantity();
}

void validateResourceKey(std::string_view name, const Path& p, FieldErrors& errors) {
  size_t before = errors.size();
  qualifiedName(name, p, errors);
  if (errors.size() == before && isNativeResource(name) && name != "storage") errors.notSupported(p, name, {"storage"});
}

class ClaimStrategy : public OtherStrategy {
 public:
  void prepareForCreate(const Context& c, api::Object& o) const override {
    Strategy::prepareForCreate(c, o);
    settleSources(o.as<v1::PersistentVolumeClaim>().spec, nullptr);
  }
  void prepareForUpdate(const Context& c, api::Object& o, const api::Object& old) const override {
    if (c.subresource == "status") return copyPart(o, old, "spec");
    copyPart(o, old, "status");
    settleSources(o.as<v1::PersistentVolumeClaim>().spec, &old.as<v1::PersistentVolumeClaim>().spec);
  }
  void validateCreate(const Context&, const api::Object& o, FieldErrors& errors) const override {
    validateClaimSpec(o.as<v1::PersistentVolumeClaim>().spec, Path("spec"), errors);
  }

  void validateUpdate(const Context& c, const api::Object& o, const api::Object& old, FieldErrors& errors) const override {
    validateCreate(c, o, errors);
    const auto &claim = o.as<v1::PersistentVolumeClaim>(), &was = old.as<v1::PersistentVolumeClaim>();
    v1::PersistentVolumeClaimSpec now = claim.spec, before = was.spec;
    settleSources(before, &was.spec);
    if (before.volumeName.empty()) before.volumeName = now.volumeName;
    settleClass(claim, was, now, errors);
    bool bound = claim.status.phase == "Bound";
    if (bound && !now.resources.requests.empty()) now.resources.requests["storage"] = sizeOf(was.spec.resources.requests);
    if (bound) now.volumeAttributesClassName = before.volumeAttributesClassName;
    if (!codec::equal(&now, &before, v1::PersistentVolumeClaimSpec::kType)) {
      errors.forbidden(Path("spec"),
                       "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n" +
                           goDiff(before, now));
    }
    codec::Quantity size = sizeOf(claim.spec.resources.requests);
    if (size < sizeOf(was.spec.resources.requests) && size <= sizeOf(was.status.capacity)) {
      errors.forbidden(Path("spec.resources.requests.storage"), "field can not be less than status.capacity");
    }
    immutable(claim.spec.volumeMode == was.spec.volumeMode, Path("volumeMode"), optional(claim.spec.volumeMode), errors);
    validateAttributesClass(claim, was, errors);
  }

  void validateStatusUpdate(const Context&, const api::Object& o, const api::Object&, FieldErrors& errors) const override {
    const auto& claim = o.as<v1::PersistentVolumeClaim>();
    if (claim.spec.accessModes.empty()) errors.required(Path("Spec.accessModes"), "");
    Path capacity("status.capacity"), statuses("status.allocatedResourceStatuses"), allocated("status.allocatedResources");
    auto basic = [&](const codec::Quantity& q, const Path& p) {
      if (q.value() < 0) errors.invalid(p, q.value(), "must be a valid resource quantity");
      return q.value() >= 0;
    };
    for (const auto& [name, q] : claim.status.capacity) basic(q, capacity.key(name));
    for (const auto& [name, status] : claim.status.allocatedResourceStatuses) {
      validateResourceKey(name, statuses, errors);
      if (!isIn(status, {"ControllerResizeInProgress", "ControllerResizeInfeasible", "NodeResizePending", "NodeResizeInProgress",
                         "NodeResizeInfeasible"})) {
        errors.notSupported(statuses, name.view(),
                            {"ControllerResizeInProgress", "ControllerResizeInfeasible", "NodeResizeInProgress", "NodeResizeInfeasible",
                             "NodeResizePending"});
      }
    }
    for (const auto& [name, q] : claim.status.allocatedResources) {
      size_t before = errors.size();
      validateResourceKey(name, allocated, errors);
      if (errors.size() == before && basic(q, allocated.key(name))) validateQuantityOf("storage", q, allocated.key(name), errors);
    }
  }

  void warnings(const Context& c, const api::Object& o, const api::Object*) const override {
    if (c.subresource == "status") return;
    const auto& claim = o.as<v1::PersistentVolumeClaim>();
    if (claim.metadata.annotations.contains(kOldClass)) {
      c.warn(fmt::format("metadata.annotations[{}]: deprecated since v1.8; use \"storageClassName\" attribute instead", kOldClass));
    }
    std::vector<std::string> more;
    claimSpecWarnings(claim.spec, Path("spec"), more);
    for (std::string& w : more) c.warn(std::move(w));
  }

  std::string selectableField(const api::Object& o, std::string_view path) const override {
    return path == "name" ? std::string(o.name()) : Strategy::selectableField(o, path);
  }

 private:
  // The class may move from the old annotation into its field, or come where there was none; then it counts as unchanged.
  static void settleClass(const v1::PersistentVolumeClaim& claim, const v1::PersistentVolumeClaim& was, v1::PersistentVolumeClaimSpec& now,
                          FieldErrors& errors) {
    const codec::String* oldMark = was.metadata.annotations.find(kOldClass);
    const codec::String* newMark = claim.metadata.annotations.find(kOldClass);
    const auto &name = claim.spec.storageClassName, &oldName = was.spec.storageClassName;
    if (oldMark != nullptr && !oldName && name && *name == *oldMark && (newMark == nullptr || *newMark == *oldMark)) {
      now.storageClassName.reset();
      return;
    }
    std::string_view a = newMark != nullptr ? newMark->view() : "", b = oldMark != nullptr ? oldMark->view() : "";
    if (a != b) errors.invalid(Path("metadata.annotations").key(kOldClass), a, kImmutable);
    if (name && !oldName && (oldMark == nullptr || *name == *oldMark)) now.storageClassName = oldName;
  }

  static void validateAttributesClass(const v1::PersistentVolumeClaim& claim, const v1::PersistentVolumeClaim& was, FieldErrors& errors) {
    const auto& now = claim.spec.volumeAttributesClassName;
    if (now == was.spec.volumeAttributesClassName || !was.status.currentVolumeAttributesClassName) return;
    Path p("spec.volumeAttributesClassName");
    if (!now) {
      errors.forbidden(p, "update to nil is forbidden when status.currentVolumeAttributesClassName is not nil");
    } else if (now->empty()) {
      errors.forbidden(p, "update to empty string is forbidden when status.currentVolumeAttributesClassName is not nil");
    }
  }
};

}  // namespace

std::unique_ptr<Strategy> makePersistentVolumeClaim() { return std::make_unique<ClaimStrategy>(); }

}  // namespace km::registry
