#include "registry/rules.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>

#include "api/types/meta_v1.h"
#include "base/strings.h"
#include "codec/json.h"
#include "registry/go_json.h"
#include "registry/metadata.h"

namespace km::registry {

bool isIn(std::string_view value, std::initializer_list<std::string_view> values) {
  return std::find(values.begin(), values.end(), value) != values.end();
}

void immutable(bool same, const Path& p, const BadValue& value, FieldErrors& errors) {
  if (!same) errors.invalid(p, value, kImmutable);
}
void nonNegative(int64_t value, const Path& p, FieldErrors& errors) {
  if (value < 0) errors.invalid(p, value, kNotNegative);
}
void positive(int64_t value, const Path& p, FieldErrors& errors) {
  if (value <= 0) errors.invalid(p, value, kPositive);
}
void oneOf(std::string_view value, std::initializer_list<std::string_view> values, const Path& p,
           FieldErrors& errors, std::string_view requiredDetail) {
  if (value.empty()) {
    errors.required(p, requiredDetail);
  } else if (!isIn(value, values)) {
    errors.notSupported(p, value, values);
  }
}
void servicePort(const std::optional<int32_t>& port, const Path& p, FieldErrors& errors) {
  auto bad = api::isValidPortNum(port.value_or(0));
  if (!bad.empty()) errors.invalid(p, port.value_or(0), fmt::format("port is not valid: {}", fmt::join(bad, ", ")));
}
void dnsLabel(std::string_view value, const Path& p, FieldErrors& errors) {
  errors.each(p, value, api::isDns1123Label(value));
}
void dnsSubdomain(std::string_view value, const Path& p, FieldErrors& errors) {
  errors.each(p, value, api::isDns1123Subdomain(value));
}
void qualifiedName(std::string_view value, const Path& p, FieldErrors& errors) {
  errors.each(p, value, api::isQualifiedName(value));
}
void labelName(std::string_view value, const Path& p, FieldErrors& errors) {
  errors.each(p, value, api::isQualifiedName(value));
}
namespace {
// Only the first bad label is told: the errors of the others would read the same.
void labelsOf(std::string_view segment, api::Messages (*check)(std::string_view), const Path& p, FieldErrors& errors) {
  for (std::string_view label : split(segment, '.')) {
    auto bad = check(label);
    for (const std::string& m : bad) errors.invalid(p, segment, fmt::format("validating label {}: {}", api::goQuote(label), m));
    if (!bad.empty()) return;
  }
}
}  // namespace

void signerName(std::string_view value, const Path& p, FieldErrors& errors) {
  constexpr int kMaxDomain = 253, kMaxPath = 253 + 63 + 1;
  if (value.empty()) return errors.required(p, "");
  auto parts = split(value, '/');
  if (parts.size() != 2) return errors.invalid(p, value, "must be a fully qualified domain and path of the form 'example.com/signer-name'");
  if (parts[0].size() > kMaxDomain) errors.tooLong(p, kMaxDomain);
  labelsOf(parts[0], [](std::string_view s) { return api::isDns1123Label(s); }, p, errors);
  if (split(parts[0], '.').size() < 2) errors.invalid(p, parts[0], "should be a domain with at least two segments separated by dots");
  labelsOf(parts[1], [](std::string_view s) { return api::isDns1123Subdomain(s); }, p, errors);
  if (value.size() > kMaxDomain + kMaxPath + 1) errors.tooLong(p, kMaxDomain + kMaxPath + 1);
}

void domainPrefixedPath(std::string_view value, const Path& p, FieldErrors& errors) {
  if (value.empty()) return errors.required(p, "");
  auto parts = cut(value, '/');
  if (!parts || parts->first.empty() || parts->second.empty()) {
    return errors.invalid(p, value, "must be a domain-prefixed path (such as \"acme.io/foo\")");
  }
  dnsSubdomain(parts->first, p, errors);
  bool fine = std::all_of(parts->second.begin(), parts->second.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || std::string_view("/-._~%!$&'()*+,;=:").find(static_cast<char>(c)) != std::string_view::npos;
  });
  if (!fine) {
    errors.invalid(p, parts->second, "Invalid path (regex used for validation is '[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')");
  }
}

bool isEmptySelector(const api::meta_v1::LabelSelector& s) {
  return s.matchLabels.empty() && s.matchExpressions.empty();
}

void validateLabelSelector(const api::meta_v1::LabelSelector& s, const Path& p, FieldErrors& errors,
                           bool allowInvalidValues) {
  validateLabels(s.matchLabels, p.child("matchLabels"), errors);
  for (size_t i = 0; i < s.matchExpressions.size(); i++) {
    const auto& e = s.matchExpressions[i];
    Path at = p.child("matchExpressions").index(i);
    if (isIn(e.operator_, {"In", "NotIn"})) {
      if (e.values.empty())
        errors.required(at.child("values"), "must be specified when `operator` is 'In' or 'NotIn'");
    } else if (isIn(e.operator_, {"Exists", "DoesNotExist"})) {
      if (!e.values.empty()) {
        errors.forbidden(at.child("values"),
                         "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
      }
    } else {
      errors.invalid(at.child("operator"), e.operator_.view(), "not a valid selector operator");
    }
    labelName(e.key, at.child("key"), errors);
    if (allowInvalidValues) continue;
    for (size_t k = 0; k < e.values.size(); k++) {
      errors.each(at.child("values").index(k), e.values[k].view(), api::isValidLabelValue(e.values[k]));
    }
  }
}

namespace {

constexpr char kReasonFormat[] = "[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?";

bool isReason(std::string_view s) {
  auto alpha = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  auto word = [&](char c) { return alpha(c) || (c >= '0' && c <= '9') || c == '_'; };
  return !s.empty() && alpha(s.front()) && word(s.back()) &&
         std::all_of(s.begin(), s.end(), [&](char c) { return word(c) || c == ',' || c == ':'; });
}

void validateCondition(const api::meta_v1::Condition& c, const Path& p, FieldErrors& errors) {
  if (c.type.empty()) {
    errors.required(p.child("type"), "must be set");
  } else {
    errors.each(p.child("type"), c.type.view(), api::isQualifiedName(c.type));
  }
  if (!isIn(c.status, {"True", "False", "Unknown"})) {
    errors.notSupported(p.child("status"), c.status.view(), {"False", "True", "Unknown"});
  }
  if (c.observedGeneration < 0)
    errors.invalid(p.child("observedGeneration"), c.observedGeneration, "must be greater than or equal to zero");
  if (c.lastTransitionTime.isZero()) errors.required(p.child("lastTransitionTime"), "");
  if (c.reason.size() > 1024) {
    errors.tooLong(p.child("reason"), 1024);
  } else if (c.reason.empty()) {
    errors.required(p.child("reason"), "");
  } else if (!isReason(c.reason)) {
    errors.invalid(
        p.child("reason"), c.reason.view(),
        fmt::format(
            "a condition reason must start with alphabetic character, optionally followed by a string of "
            "alphanumeric characters or '_,:', and must end with an alphanumeric character or '_' (e.g. "
            "'my_name',  or 'MY_NAME',  or 'MyName',  or 'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex used "
            "for "
            "validation is '{}')",
            kReasonFormat));
  }
  if (c.message.size() > 32768) errors.tooLong(p.child("message"), 32768);
}

}  // namespace

void validateConditions(const codec::List<api::meta_v1::Condition>& conditions, const Path& p,
                        FieldErrors& errors) {
  for (size_t i = 0; i < conditions.size(); i++) {
    for (size_t k = 0; k < i; k++) {
      if (conditions[k].type == conditions[i].type) {
        errors.duplicate(p.index(i).child("type"), conditions[i].type.view());
        break;
      }
    }
    validateCondition(conditions[i], p.index(i), errors);
  }
}

// --- resources ----------------------------------------------------------------------------------------

bool isHugePages(std::string_view name) {
  return name.starts_with("hugepages-");
}
bool isStandardContainerResource(std::string_view name) {
  return isIn(name, {"cpu", "memory", "ephemeral-storage"}) || isHugePages(name);
}
bool isStandardResource(std::string_view name) {
  return isIn(name, {"cpu",
                     "memory",
                     "ephemeral-storage",
                     "requests.cpu",
                     "requests.memory",
                     "requests.ephemeral-storage",
                     "limits.cpu",
                     "limits.memory",
                     "limits.ephemeral-storage",
                     "pods",
                     "resourcequotas",
                     "services",
                     "replicationcontrollers",
                     "secrets",
                     "configmaps",
                     "persistentvolumeclaims",
                     "storage",
                     "requests.storage",
                     "services.nodeports",
                     "services.loadbalancers"}) ||
         isHugePages(name) || name.starts_with("requests.hugepages-");
}
bool isStandardQuotaResource(std::string_view name) {
  return isIn(name,
              {"cpu", "memory", "ephemeral-storage", "requests.cpu", "requests.memory", "requests.storage",
               "requests.ephemeral-storage", "limits.cpu", "limits.memory", "limits.ephemeral-storage",
               "pods", "resourcequotas", "services", "replicationcontrollers", "secrets",
               "persistentvolumeclaims", "configmaps", "services.nodeports", "services.loadbalancers"}) ||
         isHugePages(name) || name.starts_with("requests.hugepages-");
}
bool isIntegerResource(std::string_view name) {
  return isIn(name, {"pods", "resourcequotas", "services", "replicationcontrollers", "secrets", "configmaps",
                     "persistentvolumeclaims", "services.nodeports", "services.loadbalancers"}) ||
         isExtendedResource(name);
}
bool isOvercommitAllowed(std::string_view name) {
  return isNativeResource(name) && !isHugePages(name);
}

void validateResourceName(std::string_view name, const Path& p, FieldErrors& errors) {
  size_t before = errors.size();
  qualifiedName(name, p, errors);
  if (errors.size() != before) return;
  if (name.find('/') == std::string_view::npos && !isStandardResource(name)) {
    errors.invalid(p, name, "must be a standard resource type or fully qualified");
  }
}

void validateContainerResourceName(std::string_view name, const Path& p, FieldErrors& errors) {
  size_t before = errors.size();
  validateResourceName(name, p, errors);
  if (name.find('/') == std::string_view::npos) {
    if (!isStandardContainerResource(name))
      errors.invalid(p, name, "must be a standard resource for containers");
  } else if (!isNativeResource(name) && !isExtendedResource(name)) {
    if (errors.size() == before) errors.invalid(p, name, "doesn't follow extended resource name standard");
  }
}

void nonNegativeQuantity(const codec::Quantity& q, const Path& p, FieldErrors& errors) {
  if (q.sign() < 0) errors.invalid(p, q.str(), kNotNegative);
}

void validateQuantityOf(std::string_view resource, const codec::Quantity& q, const Path& p,
                        FieldErrors& errors) {
  nonNegativeQuantity(q, p, errors);
  if (isIntegerResource(resource) && q.milliValue() % 1000 != 0)
    errors.invalid(p, q.str(), "must be an integer");
}

// --- texts --------------------------------------------------------------------------------------------

BadValue listValue(const codec::List<codec::String>& values) {
  if (values.empty()) return BadValue::raw("null");
  std::string out = "[";
  for (const auto& v : values) {
    if (out.size() > 1) out += ',';
    codec::appendJsonString(out, v);
  }
  return BadValue::raw(out + "]");
}

BadValue structValue(const void* value, const codec::TypeInfo& t) { return BadValue::raw(goJson(value, t)); }

std::vector<std::string> strings(const codec::List<codec::String>& list) {
  std::vector<std::string> out;
  for (const auto& s : list) out.push_back(s.str());
  return out;
}

}  // namespace km::registry
