#include "registry/metadata.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "api/resource.h"
#include "api/types/meta_v1.h"
#include "base/rand.h"
#include "codec/json.h"
#include "object/managed_fields.h"

namespace km::registry {
namespace {

using api::BadValue;
using api::FieldErrors;
using api::Path;

constexpr int kMaxAnnotationBytes = 256 * 1024;

std::string ownersJson(const codec::List<api::meta_v1::OwnerReference>& owners) {
  std::string out = "[";
  for (const auto& o : owners) {
    if (out.size() > 1) out += ',';
    out += codec::toJson(o);
  }
  return out + "]";
}

void validateOwners(const codec::List<api::meta_v1::OwnerReference>& owners, const Path& path, FieldErrors& errors) {
  std::string controller;
  for (const auto& o : owners) {
    auto [group, version] = api::splitApiVersion(o.apiVersion);
    // Two slashes make no version.
    if (version.empty() || std::count(o.apiVersion.view().begin(), o.apiVersion.view().end(), '/') > 1) errors.invalid(path.child("apiVersion"), o.apiVersion.view(), "version must not be empty");
    if (o.kind.empty()) errors.invalid(path.child("kind"), o.kind.view(), "must not be empty");
    if (o.name.empty()) errors.invalid(path.child("name"), o.name.view(), "must not be empty");
    if (o.uid.empty()) errors.invalid(path.child("uid"), o.uid.view(), "must not be empty");
    if (o.apiVersion == "v1" && o.kind == "Event") {
      errors.invalid(path, BadValue::raw(codec::toJson(o)), "/v1, Kind=Event is disallowed from being an owner");
    }
    if (o.controller.value_or(false)) {
      std::string name = fmt::format("{}/{}", o.kind, o.name);
      if (!controller.empty()) {
        errors.invalid(path, BadValue::raw(ownersJson(owners)),
                       fmt::format("Only one reference can have Controller set to true. Found \"true\" in references for {} and {}",
                                   controller, name));
      } else {
        controller = name;
      }
    }
  }
}

void validateFinalizers(const codec::List<codec::String>& finalizers, const Path& path, FieldErrors& errors) {
  bool orphan = false, foreground = false;
  for (const auto& f : finalizers) {
    errors.each(path, f.view(), api::isQualifiedName(f));
    orphan = orphan || f == "orphan";
    foreground = foreground || f == "foregroundDeletion";
  }
  if (orphan && foreground) {
    std::string all = "[";
    for (const auto& f : finalizers) {
      if (all.size() > 1) all += ',';
      codec::appendJsonString(all, f);
    }
    errors.invalid(path, BadValue::raw(all + "]"), "finalizer orphan and foregroundDeletion cannot be both set");
  }
}

}  // namespace

std::string goStrings(const std::vector<std::string>& values) {
  std::string out = "[]string{";
  for (size_t i = 0; i < values.size(); i++) out += (i ? ", " : "") + api::goQuote(values[i]);
  return out + "}";
}

std::string generateName(std::string_view base) {
  constexpr size_t kMaxBase = 63 - 5;
  return std::string(base.substr(0, kMaxBase)) + randomSuffix(5);
}

void fillSystemFields(api::meta_v1::ObjectMeta& meta, WallTime now) {
  meta.deletionTimestamp.reset();
  meta.deletionGracePeriodSeconds.reset();
  meta.selfLink.clear();
  meta.creationTimestamp = codec::Time(now);
  meta.uid = randomUuid();
}

void validateAnnotations(const codec::Map<codec::String>& annotations, const Path& path, FieldErrors& errors) {
  size_t total = 0;
  for (const auto& [key, value] : annotations) {
    std::string lower = key.str();
    std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
    errors.each(path, key.view(), api::isQualifiedName(lower));
    total += key.size() + value.size();
  }
  if (total > kMaxAnnotationBytes) errors.tooLong(path, kMaxAnnotationBytes);
}

void validateLabels(const codec::Map<codec::String>& labels, const Path& path, FieldErrors& errors) {
  for (const auto& [key, value] : labels) {
    errors.each(path, key.view(), api::isQualifiedName(key));
    errors.each(path, value.view(), api::isValidLabelValue(value));
  }
}

void validateMeta(const api::meta_v1::ObjectMeta& meta, bool namespaced, const NameCheck& checkName, const Path& path,
                  FieldErrors& errors) {
  if (!meta.generateName.empty()) {
    errors.each(path.child("generateName"), meta.generateName.view(), checkName(meta.generateName, true));
  }
  if (meta.name.empty()) {
    errors.required(path.child("name"), "name or generateName is required");
  } else {
    errors.each(path.child("name"), meta.name.view(), checkName(meta.name, false));
  }
  if (namespaced) {
    if (meta.namespace_.empty()) {
      errors.required(path.child("namespace"), "");
    } else {
      errors.each(path.child("namespace"), meta.namespace_.view(), api::isDns1123Label(meta.namespace_));
    }
  } else if (!meta.namespace_.empty()) {
    errors.forbidden(path.child("namespace"), "not allowed on this type");
  }
  if (meta.generation < 0) {
    errors.invalid(path.child("generation"), meta.generation, "must be greater than or equal to 0");
  }
  validateLabels(meta.labels, path.child("labels"), errors);
  validateAnnotations(meta.annotations, path.child("annotations"), errors);
  validateOwners(meta.ownerReferences, path.child("ownerReferences"), errors);
  validateFinalizers(meta.finalizers, path.child("finalizers"), errors);
  object::validateManagedFields(meta, path.child("managedFields"), errors);
}

void validateMetaUpdate(const api::meta_v1::ObjectMeta& meta, const api::meta_v1::ObjectMeta& old, const Path& path,
                        FieldErrors& errors) {
  if (old.deletionTimestamp) {
    std::vector<std::string> added;
    for (const auto& f : meta.finalizers) {
      if (std::find(old.finalizers.begin(), old.finalizers.end(), f) == old.finalizers.end()) added.push_back(f.str());
    }
    std::sort(added.begin(), added.end());
    if (!added.empty()) {
      errors.forbidden(path.child("finalizers"),
                       fmt::format("no new finalizers can be added if the object is being deleted, found new finalizers {}",
                                   goStrings(added)));
    }
  }
  if (meta.resourceVersion.empty()) {
    errors.invalid(path.child("resourceVersion"), meta.resourceVersion.view(), "must be specified for an update");
  }
  if (meta.generation < old.generation) {
    errors.invalid(path.child("generation"), meta.generation, "must not be decremented");
  }
  auto immutable = [&](std::string_view field, bool same, const BadValue& value) {
    if (!same) errors.invalid(path.child(field), value, "field is immutable");
  };
  immutable("name", meta.name == old.name, meta.name.view());
  immutable("namespace", meta.namespace_ == old.namespace_, meta.namespace_.view());
  immutable("uid", meta.uid == old.uid, meta.uid.view());
  immutable("creationTimestamp", meta.creationTimestamp == old.creationTimestamp, meta.creationTimestamp.str());
  immutable("deletionTimestamp", meta.deletionTimestamp == old.deletionTimestamp,
            meta.deletionTimestamp ? BadValue(meta.deletionTimestamp->str()) : BadValue::raw("null"));
  immutable("deletionGracePeriodSeconds", meta.deletionGracePeriodSeconds == old.deletionGracePeriodSeconds,
            meta.deletionGracePeriodSeconds ? BadValue(*meta.deletionGracePeriodSeconds) : BadValue::raw("null"));
  validateLabels(meta.labels, path.child("labels"), errors);
  validateAnnotations(meta.annotations, path.child("annotations"), errors);
  validateOwners(meta.ownerReferences, path.child("ownerReferences"), errors);
  object::validateManagedFields(meta, path.child("managedFields"), errors);
}

void validateFinalizerNames(const api::meta_v1::ObjectMeta& meta, const Path& path, FieldErrors& errors) {
  for (size_t i = 0; i < meta.finalizers.size(); i++) {
    std::string_view f = meta.finalizers[i];
    bool standard = f == "kubernetes" || f == "orphan" || f == "foregroundDeletion";
    if (f.find('/') == std::string_view::npos && !standard) {
      errors.invalid(path.child("finalizers").index(i), f, "name is neither a standard finalizer name nor is it fully qualified");
    }
  }
}

}  // namespace km::registry
