// storage.k8s.io: classes, drivers, what drivers tell of nodes, attachments.
#include <fmt/format.h>

#include <map>
#include <set>

#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"
#include "api/types/storage_v1.h"
#include "base/strings.h"
#include "codec/ops.h"
#include "registry/core/persistent_volume.h"
#include "registry/core/pod_parts.h"
#include "registry/core/pod_warnings.h"
#include "registry/core/volume_sources.h"
#include "registry/kinds.h"
#include "registry/other_columns.h"
#include "registry/workload_rules.h"

namespace km::registry {

namespace storage = api::storage_v1;

namespace {

constexpr size_t kMaxParameters = 512;
constexpr int kMaxParameterBytes = 256 * 1024;

BadValue optional(const std::optional<codec::String>& v) { return v ? BadValue(v->view()) : BadValue::raw("null"); }
BadValue optional(const std::optional<bool>& v) { return v ? BadValue(*v) : BadValue::raw("null"); }

void validateProvisioner(std::string_view name, const Path& p, FieldErrors& errors) {
  if (name.empty()) return errors.required(p, "");
  std::string lower = toLower(name);
  qualifiedName(lower, p, errors);
}

void validateParameters(const codec::Map<codec::String>& parameters, bool mayBeEmpty, const Path& p, FieldErrors& errors) {
  if (parameters.size() > kMaxParameters) return errors.tooLong(p, kMaxParameters);
  size_t total = 0;
  for (const auto& [key, value] : parameters) {
    if (key.empty()) errors.invalid(p, "", "field can not be empty.");
    total += key.size() + value.size();
  }
  if (total > kMaxParameterBytes) errors.tooLong(p, kMaxParameterBytes);
  if (!mayBeEmpty && parameters.empty()) errors.required(p, "must contain at least one key/value pair");
}

// --- classes ------------------------------------------------------------------------------------------

void validateTopologies(const codec::List<api::core_v1::TopologySelectorTerm>& terms, const Path& p, FieldErrors& errors) {
  std::vector<std::map<std::string_view, std::set<std::string_view>>> seen;
  for (size_t i = 0; i < terms.size(); i++) {
    Path at = p.index(i).child("matchLabelExpressions");
    std::map<std::string_view, std::set<std::string_view>> term;
    for (size_t k = 0; k < terms[i].matchLabelExpressions.size(); k++) {
      const auto& r = terms[i].matchLabelExpressions[k];
      Path of = at.index(k);
      std::set<std::string_view> values;
      if (r.values.empty()) errors.required(of.child("values"), "");
      for (size_t v = 0; v < r.values.size(); v++) {
        if (!values.insert(r.values[v].view()).second) errors.duplicate(of.child("values").index(v), r.values[v].view());
      }
      labelName(r.key, of.child("key"), errors);
      if (term.count(r.key.view())) errors.duplicate(of.child("key"), r.key.view());
      term[r.key.view()] = std::move(values);
    }
    bool repeated = term.empty();  // upstream compares with as many empty terms, too
    for (const auto& s : seen) repeated = repeated || s == term;
    if (repeated) errors.duplicate(at, "");
    seen.push_back(std::move(term));
  }
}

class StorageClassStrategy : public OtherStrategy {
 public:
  void validateCreate(const Context&, const api::Object& o, FieldErrors& errors) const override {
    const auto& c = o.as<storage::StorageClass>();
    validateProvisioner(c.provisioner, Path("provisioner"), errors);
    validateParameters(c.parameters, true, Path("parameters"), errors);
    if (c.reclaimPolicy && !c.reclaimPolicy->empty() && !isIn(*c.reclaimPolicy, {"Delete", "Retain"})) {
      errors.notSupported(Path("reclaimPolicy"), c.reclaimPolicy->view(), {"Delete", "Retain"});
    }
    if (!c.volumeBindingMode) {
      errors.required(Path("volumeBindingMode"), "");
    } else if (!isIn(*c.volumeBindingMode, {"Immediate", "WaitForFirstConsumer"})) {
      errors.notSupported(Path("volumeBindingMode"), c.volumeBindingMode->view(), {"Immediate", "WaitForFirstConsumer"});
    }
    validateTopologies(c.allowedTopologies, Path("allowedTopologies"), errors);
  }
  void validateUpdate(const Context& c, const api::Object& o, const api::Object& old, FieldErrors& errors) const override {
    validateCreate(c, o, errors);
    const auto &now = o.as<storage::StorageClass>(), &was = old.as<storage::StorageClass>();
    immutable(now.parameters == was.parameters, Path("parameters"), labelsValue(now.parameters), errors);
    immutable(now.provisioner == was.provisioner, Path("provisioner"), now.provisioner.view(), errors);
    immutable(now.reclaimPolicy == was.reclaimPolicy, Path("reclaimPolicy"), optional(now.reclaimPolicy), errors);
    immutable(now.volumeBindingMode == was.volumeBindingMode, Path("volumeBindingMode"), optional(now.volumeBindingMode), errors);
  }
  void warnings(const Context& c, const api::Object& o, const api::Object*) const override {
    const auto& terms = o.as<storage::StorageClass>().allowedTopologies;
    for (size_t i = 0; i < terms.size(); i++) {
      for (size_t k = 0; k < terms[i].matchLabelExpressions.size(); k++) {
        auto why = deprecatedNodeLabel(terms[i].matchLabelExpressions[k].key);
        if (why) c.warn(fmt::format("allowedTopologies[{}].matchLabelExpressions[{}].key: {}", i, k, *why));
      }
    }
  }
};

class AttributesClassStrategy : public OtherStrategy {
 public:
  void validateCreate(const Context&, const api::Object& o, FieldErrors& errors) const override {
    const auto& c = o.as<storage::VolumeAttributesClass>();
    validateProvisioner(c.driverName, Path("driverName"), errors);
    validateParameters(c.parameters, false, Path("parameters"), errors);
  }
  void validateUpdate(const Context& c, const api::Object& o, const api::Object& old, FieldErrors& errors) const override {
    if (!samePart(o, old, "driverName")) errors.forbidden(Path("driverName"), "updates to driverName are forbidden.");
    if (!samePart(o, old, "parameters")) errors.forbidden(Path("parameters"), "updates to parameters are forbidden.");
    validateCreate(c, o, errors);
  }
};

// --- drivers ------------------------------------------------------------------------------------------

class CsiDriverStrategy : public OtherStrategy {
 public:
  void prepareForCreate(const Context& c, api::Object& o) const override {
    Strategy::prepareForCreate(c, o);
    o.as<storage::CSIDriver>().spec.preventPodSchedulingIfMissing.reset();
  }
  void prepareForUpdate(const Context&, api::Object& o, const api::Object& old) const override {
    auto& now = o.as<storage::CSIDriver>().spec;
    const auto& was = old.as<storage::CSIDriver>().spec;
    if (!was.preventPodSchedulingIfMissing) now.preventPodSchedulingIfMissing.reset();
    if (!samePart(o, old, "spec")) o.meta().generation = old.meta().generation + 1;
  }
  void validateCreate(const Context&, const api::Object& o, FieldErrors& errors) const override {
    const auto& s = o.as<storage::CSIDriver>().spec;
    Path p("spec");
    auto need = [&](const auto& v, std::string_view field) {
      if (!v) errors.required(p.child(field), "");
    };
    need(s.attachRequired, "attachedRequired");
    need(s.podInfoOnMount, "podInfoOnMount");
    need(s.storageCapacity, "storageCapacity");
    if (s.fsGroupPolicy && !isIn(*s.fsGroupPolicy, {"File", "None", "ReadWriteOnceWithFSType"})) {
      errors.notSupported(p.child("fsGroupPolicy"), s.fsGroupPolicy->view(), {"File", "None", "ReadWriteOnceWithFSType"});
    }
    validateTokens(s.tokenRequests, p.child("tokenRequests"), errors);
    for (const auto& mode : s.volumeLifecycleModes) {
      if (!isIn(mode, {"Persistent", "Ephemeral"})) {
        errors.notSupported(p.child("volumeLifecycleModes"), mode.view(), {"Persistent", "Ephemeral"});
      }
    }
    need(s.seLinuxMount, "seLinuxMount");
    if (s.nodeAllocatableUpdatePeriodSeconds && *s.nodeAllocatableUpdatePeriodSeconds < 10) {
      errors.invalid(p.child("nodeAllocatableUpdatePeriodSeconds"), *s.nodeAllocatableUpdatePeriodSeconds,
                     "must be greater than or equal to 10 seconds");
    }
    if (s.serviceAccountTokenInSecrets && s.tokenRequests.empty()) {
      errors.invalid(p.child("serviceAccountTokenInSecrets"), *s.serviceAccountTokenInSecrets,
                     "serviceAccountTokenInSecrets is set but no tokenRequests are specified");
    }
  }
  void validateUpdate(const Context& c, const api::Object& o, const api::Object& old, FieldErrors& errors) const override {
    validateCreate(c, o, errors);
    const auto &now = o.as<storage::CSIDriver>().spec, &was = old.as<storage::CSIDriver>().spec;
    immutable(now.attachRequired == was.attachRequired, Path("spec.attachedRequired"), optional(now.attachRequired), errors);
    immutable(now.volumeLifecycleModes == was.volumeLifecycleModes, Path("spec.volumeLifecycleModes"),
              listValue(now.volumeLifecycleModes), errors);
  }
  void warnings(const Context& c, const api::Object& o, const api::Object* old) const override {
    const auto& s = o.as<storage::CSIDriver>().spec;
    bool changed = old == nullptr || !sameRequests(old->as<storage::CSIDriver>().spec, s);
    if (changed && !s.tokenRequests.empty() && !s.serviceAccountTokenInSecrets) {
      c.warn("spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent possible logging of "
             "tokens in volume attributes");
    }
  }

 private:
  static bool sameRequests(const storage::CSIDriverSpec& a, const storage::CSIDriverSpec& b) { return a.tokenRequests == b.tokenRequests; }

  static void validateTokens(const codec::List<storage::TokenRequest>& list, const Path& p, FieldErrors& errors) {
    std::set<std::string_view> audiences;
    for (size_t i = 0; i < list.size(); i++) {
      Path at = p.index(i).child("expirationSeconds");
      if (!audiences.insert(list[i].audience.view()).second) {
        errors.duplicate(p.index(i).child("audience"), list[i].audience.view());
        continue;
      }
      if (!list[i].expirationSeconds) continue;
      int64_t seconds = *list[i].expirationSeconds;
      if (seconds < 600) errors.invalid(at, seconds, "may not specify a duration less than 10 minutes");
      if (seconds > int64_t(1) << 32) errors.invalid(at, seconds, "may not specify a duration larger than 2^32 seconds");
    }
  }
};

class CsiNodeStrategy : public OtherStrategy {
 public:
  void validateCreate(const Context&, const api::Object& o, FieldErrors& errors) const override {
    const auto& drivers = o.as<storage::CSINode>().spec.drivers;
    std::set<std::string_view> names;
    for (size_t i = 0; i < drivers.size(); i++) {
      const auto& d = drivers[i];
      Path p = Path("spec.drivers").index(i);
      validateCsiDriverName(d.name, p.child("name"), errors);
      if (d.nodeID.empty()) errors.required(p.child("nodeID"), "");
      if (d.nodeID.size() > 256) errors.invalid(p.child("nodeID"), d.nodeID.view(), "must be 256 characters or less");
      if (d.allocatable && d.allocatable->count) nonNegative(*d.allocatable->count, p.child("allocatable.count"), errors);
      if (!names.insert(d.name.view()).second) errors.duplicate(p.child("name"), d.name.view());
      std::set<std::string_view> keys;
      for (const auto& key : d.topologyKeys) {
        if (key.empty()) errors.required(p, "");
        if (!keys.insert(key.view()).second) errors.duplicate(p, key.view());
        qualifiedName(key, p, errors);
      }
    }
  }
  void validateUpdate(const Context& c, const api::Object& o, const api::Object& old, FieldErrors& errors) const override {
    validateCreate(c, o, errors);
    for (const auto& was : old.as<storage::CSINode>().spec.drivers) {
      for (const auto& now : o.as<storage::CSINode>().spec.drivers) {
        if (!(now.name == was.name)) continue;
        storage::CSINodeDriver a = was, b = now;
        a.allocatable.reset();
        b.allocatable.reset();
        immutable(codec::equal(&a, &b, storage::CSINodeDriver::kType), Path("spec.drivers"), structValue(b), errors);
      }
    }
  }
};

class CsiCapacityStrategy : public OtherStrategy {
 public:
  void validateCreate(const Context&, const api::Object& o, FieldErrors& errors) const override { validate(o, false, errors); }
  void validateUpdate(const Context&, const api::Object& o, const api::Object& old, FieldErrors& errors) const override {
    const auto &now = o.as<storage::CSIStorageCapacity>(), &was = old.as<storage::CSIStorageCapacity>();
    FieldErrors bad;
    if (was.nodeTopology) validateLabelSelector(*was.nodeTopology, Path(), bad);
    validate(o, !bad.empty(), errors);
    immutable(now.nodeTopology == was.nodeTopology, Path("nodeTopology"), selectorValue(now.nodeTopology), errors);
    immutable(now.storageClassName == was.storageClassName, Path("storageClassName"), now.storageClassName.view(), errors);
  }
  void warnings(const Context& c, const api::Object& o, const api::Object*) const override {
    const auto& topology = o.as<storage::CSIStorageCapacity>().nodeTopology;
    std::vector<std::string> out;
    if (topology) labelSelectorWarnings(*topology, Path("nodeTopology"), out);
    for (std::string& w : out) c.warn(std::move(w));
  }

 private:
  static void validate(const api::Object& o, bool lenient, FieldErrors& errors) {
    const auto& c = o.as<storage::CSIStorageCapacity>();
    if (c.nodeTopology) validateLabelSelector(*c.nodeTopology, Path("nodeTopology"), errors, lenient);
    dnsSubdomain(c.storageClassName, Path("storageClassName"), errors);
    if (c.capacity) nonNegativeQuantity(*c.capacity, Path("capacity"), errors);
  }
};

// --- attachments --------------------------------------------------------------------------------------

void validateError(const codec::Box<storage::VolumeError>& e, const Path& p, FieldErrors& errors) {
  if (!e) return;
  if (e->message.size() > 1024) errors.tooLong(p.child("message"), kMaxParameterBytes);
  if (e->errorCode && *e->errorCode < 0) errors.invalid(p.child("errorCode"), *e->errorCode, rangeText(0, INT32_MAX));
}

class VolumeAttachmentStrategy : public OtherStrategy {
 public:
  void prepareForUpdate(const Context& c, api::Object& o, const api::Object& old) const override {
    if (c.subresource != "status") return Strategy::prepareForUpdate(c, o, old);
    copyPart(o, old, "spec");
    auto& meta = o.meta();
    const auto& was = old.meta();
    meta.deletionTimestamp = was.deletionTimestamp;
    meta.generation = was.generation;
    meta.selfLink = was.selfLink;
    meta.labels = was.labels;
    meta.annotations = was.annotations;
    meta.finalizers = was.finalizers;
    meta.ownerReferences = was.ownerReferences;
  }
  void validateCreate(const Context&, const api::Object& o, FieldErrors& errors) const override {
    const auto& a = o.as<storage::VolumeAttachment>();
    Path p("spec");
    validateCsiDriverName(a.spec.attacher, p.child("attacher"), errors);
    validateSource(a.spec.source, p.child("source"), errors);
    dnsSubdomain(a.spec.nodeName, p.child("nodeName"), errors);
    Path status("status");
    size_t bytes = 0;
    for (const auto& [key, value] : a.status.attachmentMetadata) bytes += key.size() + value.size();
    if (bytes > kMaxParameterBytes) errors.tooLong(status.child("attachmentMetadata"), kMaxParameterBytes);
    validateError(a.status.attachError, status.child("attachError"), errors);
    validateError(a.status.detachError, status.child("detachError"), errors);
    if (a.spec.source.persistentVolumeName) dnsSubdomain(*a.spec.source.persistentVolumeName, p.child("source.persistentVolumeName"), errors);
  }
  void validateUpdate(const Context& c, const api::Object& o, const api::Object& old, FieldErrors& errors) const override {
    validateCreate(c, o, errors);
    immutable(samePart(o, old, "spec"), Path("spec"), structValue(o.as<storage::VolumeAttachment>().spec), errors);
  }
  void validateStatusUpdate(const Context& c, const api::Object& o, const api::Object& old, FieldErrors& errors) const override {
    validateUpdate(c, o, old, errors);
  }
  std::vector<std::string_view> resetFields(std::string_view subresource) const override {
    if (subresource == "status") return {"metadata", "spec"};
    return {"status"};
  }

 private:
  static void validateSource(const storage::VolumeAttachmentSource& s, const Path& p, FieldErrors& errors) {
    constexpr std::string_view kOne = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
    if (!s.inlineVolumeSpec && !s.persistentVolumeName) return errors.required(p, kOne);
    if (s.inlineVolumeSpec && s.persistentVolumeName) return errors.forbidden(p, kOne);
    if (s.persistentVolumeName) {
      if (s.persistentVolumeName->empty()) {
        errors.required(p.child("persistentVolumeName"), "must specify non empty persistentVolumeName");
      }
      return;
    }
    validateInlineVolume(*s.inlineVolumeSpec, p.child("inlineVolumeSpec"), errors);
  }
};

}  // namespace

std::unique_ptr<Strategy> makeStorageClass() { return std::make_unique<StorageClassStrategy>(); }
std::unique_ptr<Strategy> makeAttributesClass() { return std::make_unique<AttributesClassStrategy>(); }
std::unique_ptr<Strategy> makeCsiDriver() { return std::make_unique<CsiDriverStrategy>(); }
std::unique_ptr<Strategy> makeCsiNode() { return std::make_unique<CsiNodeStrategy>(); }
std::unique_ptr<Strategy> makeCsiCapacity() { return std::make_unique<CsiCapacityStrategy>(); }
std::unique_ptr<Strategy> makeVolumeAttachment() { return std::make_unique<VolumeAttachmentStrategy>(); }

}  // namespace km::registry
