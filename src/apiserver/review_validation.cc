#include "apiserver/review_validation.h"

#include <fmt/format.h>

#include "api/field_error.h"
#include "api/types/authorization_v1.h"
#include "api/types/meta_v1.h"
#include "api/validation.h"
#include "codec/json.h"
#include "codec/ops.h"

namespace km::apiserver {
namespace {

using namespace api::authorization_v1;
using api::BadValue;
using api::FieldErrors;
using api::Path;

// The operator of a requirement against its values; operators of newer clients are let through.
template <typename Requirement>
void checkOperator(const Requirement& r, const Path& path, FieldErrors& bad) {
  if (r.operator_ == "In" || r.operator_ == "NotIn") {
    if (r.values.empty()) bad.required(path.child("values"), "must be specified when `operator` is 'In' or 'NotIn'");
  } else if (r.operator_ == "Exists" || r.operator_ == "DoesNotExist") {
    if (!r.values.empty()) bad.forbidden(path.child("values"), "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
  }
}

template <typename Selector>
void checkSelector(const Selector& s, const Path& path, FieldErrors& bad) {
  if (!s.rawSelector.empty() && !s.requirements.empty()) {
    bad.invalid(path.child("rawSelector"), s.rawSelector.view(), "may not specified at the same time as requirements");
  }
  if (s.rawSelector.empty() && s.requirements.empty()) {
    bad.required(path.child("requirements"), fmt::format("when {} is specified, requirements or rawSelector is required", path.str()));
  }
}

void checkResource(const ResourceAttributes& r, const Path& path, FieldErrors& bad) {
  if (r.fieldSelector) {
    Path p = path.child("fieldSelector");
    checkSelector(*r.fieldSelector, p, bad);
    size_t i = 0;
    for (const auto& each : r.fieldSelector->requirements) {
      Path at = p.child("requirements").index(i++);
      if (each.key.empty()) bad.required(at.child("key"), "must be specified");
      checkOperator(each, at, bad);
    }
  }
  if (!r.labelSelector) return;
  Path p = path.child("labelSelector");
  checkSelector(*r.labelSelector, p, bad);
  size_t i = 0;
  for (const auto& each : r.labelSelector->requirements) {
    Path at = p.child("requirements").index(i++);
    checkOperator(each, at, bad);
    bad.each(at.child("key"), each.key.view(), api::isQualifiedName(each.key));
    for (size_t v = 0; v < each.values.size(); v++) {
      bad.each(at.child("values").index(v), each.values[v].view(), api::isValidLabelValue(each.values[v]));
    }
  }
}

BadValue printed(const std::optional<NonResourceAttributes>& n) {
  if (!n) return BadValue::raw("null");
  std::string out = "{\"Path\":";
  codec::appendJsonString(out, n->path);
  out += ",\"Verb\":";
  codec::appendJsonString(out, n->verb);
  return BadValue::raw(out + "}");
}

template <typename Review>
void checkSpec(const Review& review, FieldErrors& bad) {
  const auto& spec = review.spec;
  Path path("spec");
  std::optional<NonResourceAttributes> other;
  if (spec.nonResourceAttributes) other = *spec.nonResourceAttributes;
  if (spec.resourceAttributes && other) {
    bad.invalid(path.child("nonResourceAttributes"), printed(other), "cannot be specified in combination with resourceAttributes");
  }
  if (!spec.resourceAttributes && !other) {
    bad.invalid(path.child("resourceAttributes"), printed(other), "exactly one of nonResourceAttributes or resourceAttributes must be specified");
  }
  if constexpr (requires { spec.user; }) {
    if (spec.user.empty() && spec.groups.empty()) {
      bad.invalid(path.child("user"), spec.user.view(), "at least one of user or group must be specified");
    }
  }
  if (spec.resourceAttributes) checkResource(*spec.resourceAttributes, path.child("resourceAttributes"), bad);
}

void checkMetadata(const api::meta_v1::ObjectMeta& meta, bool local, FieldErrors& bad) {
  api::meta_v1::ObjectMeta rest = meta;
  rest.managedFields.clear();
  if (local) rest.namespace_.clear();
  if (codec::isZero(&rest, api::meta_v1::ObjectMeta::kType)) return;
  bad.invalid(Path("metadata"), BadValue::raw(codec::toJson(meta)), local ? "must be empty except for namespace" : "must be empty");
}

void checkLocal(const LocalSubjectAccessReview& review, FieldErrors& bad) {
  const auto& r = review.spec.resourceAttributes;
  if (r && r->namespace_ != review.metadata.namespace_) {
    bad.invalid(Path("spec.resourceAttributes.namespace"), r->namespace_.view(), "must match metadata.namespace");
  }
  if (review.spec.nonResourceAttributes) {
    std::optional<NonResourceAttributes> n = *review.spec.nonResourceAttributes;
    bad.invalid(Path("spec.nonResourceAttributes"), printed(n), "disallowed on this kind of request");
  }
}

}  // namespace

Status checkAccessReview(const api::Object& o) {
  FieldErrors bad;
  bool local = o.is(LocalSubjectAccessReview::kType);
  if (local) {
    checkSpec(o.as<LocalSubjectAccessReview>(), bad);
  } else if (o.is(SubjectAccessReview::kType)) {
    checkSpec(o.as<SubjectAccessReview>(), bad);
  } else {
    checkSpec(o.as<SelfSubjectAccessReview>(), bad);
  }
  checkMetadata(o.meta(), local, bad);
  if (local) checkLocal(o.as<LocalSubjectAccessReview>(), bad);
  return bad.toStatus("authorization.k8s.io", "", "");
}

}  // namespace km::apiserver
