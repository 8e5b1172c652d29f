// LimitRanges and ResourceQuotas.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"
#include "registry/kinds.h"
#include "registry/other_columns.h"
#include "registry/rules.h"

namespace km::registry {

namespace v1 = api::core_v1;

namespace {

using codec::Quantity;
using Quantities = codec::Map<Quantity>;

// --- limit ranges -------------------------------------------------------------------------------------

void validateLimitType(std::string_view type, const Path& p, FieldErrors& errors) {
  size_t before = errors.size();
  qualifiedName(type, p, errors);
  if (errors.size() != before || type.find('/') != std::string_view::npos) return;
  if (!isIn(type, {"Pod", "Container", "PersistentVolumeClaim"})) {
    errors.invalid(p, type, "must be a standard limit type or fully qualified");
  }
}

class LimitItem {
 public:
  LimitItem(const v1::LimitRangeItem& item, const Path& p, FieldErrors& errors) : item_(item), p_(p), errors_(errors) {}

  void validate() {
    std::set<std::string_view> names;
    takeNames(item_.max, "max", names);
    takeNames(item_.min, "min", names);
    if (item_.type == "Pod") {
      if (!item_.default_.empty()) errors_.forbidden(p_.child("default"), "may not be specified when `type` is 'Pod'");
      if (!item_.defaultRequest.empty()) errors_.forbidden(p_.child("defaultRequest"), "may not be specified when `type` is 'Pod'");
    } else {
      takeNames(item_.default_, "default", names);
      takeNames(item_.defaultRequest, "defaultRequest", names);
    }
    if (item_.type == "PersistentVolumeClaim" && !item_.min.contains("storage") && !item_.max.contains("storage")) {
      errors_.required(p_.child("limits"), "either minimum or maximum storage value is required, but neither was provided");
    }
    takeNames(item_.maxLimitRequestRatio, "maxLimitRequestRatio", names);
    for (std::string_view name : names) compare(name);
  }

 private:
  void takeNames(const Quantities& list, std::string_view field, std::set<std::string_view>& names) {
    for (const auto& [name, q] : list) {
      Path at = p_.child(field).key(name);
      if (item_.type == "Pod" || item_.type == "Container") {
        validateContainerResourceName(name, at, errors_);
      } else {
        validateResourceName(name, at, errors_);
      }
      names.insert(name.view());
    }
  }

  // `low` must not be above `high`; the error stands at `field` and shows `shown`.
  void order(const Quantity* low, const Quantity* high, std::string_view field, std::string_view name, const Quantity* shown,
             std::string_view lowWord, std::string_view highWord) {
    if (low == nullptr || high == nullptr || *low <= *high) return;
    errors_.invalid(p_.child(field).key(name), shown->str(),
                    fmt::format("{} value {} is greater than {} value {}", lowWord, low->str(), highWord, high->str()));
  }

  void compare(std::string_view name) {
    bool pod = item_.type == "Pod";
    const Quantity *min = item_.min.find(name), *max = item_.max.find(name);
    const Quantity* byDefault = pod ? nullptr : item_.default_.find(name);
    const Quantity* request = pod ? nullptr : item_.defaultRequest.find(name);
    order(min, max, "min", name, min, "min", "max");
    order(min, request, "defaultRequest", name, request, "min", "default request");
    order(request, max, "defaultRequest", name, request, "default request", "max");
    order(request, byDefault, "defaultRequest", name, request, "default request", "default limit");
    order(min, byDefault, "default", name, min, "min", "default");
    order(byDefault, max, "default", name, max, "default", "max");
    compareRatio(name, min, max);
    if (!isOvercommitAllowed(name) && byDefault != nullptr && request != nullptr && !(*byDefault == *request)) {
      errors_.invalid(p_.child("defaultRequest").key(name), request->str(),
                      fmt::format("default value {} must equal to defaultRequest value {} in {}", byDefault->str(), request->str(), name));
    }
  }

  void compareRatio(std::string_view name, const Quantity* min, const Quantity* max) {
    const Quantity* ratio = item_.maxLimitRequestRatio.find(name);
    if (ratio == nullptr) return;
    Path at = p_.child("maxLimitRequestRatio").key(name);
    if (*ratio < Quantity(1, Quantity::Format::kDecimalSI)) {
      errors_.invalid(at, ratio->str(), fmt::format("ratio {} is less than 1", ratio->str()));
    }
    if (min == nullptr || max == nullptr) return;
    constexpr int64_t kMaxMilli = INT64_MAX / 1000;
    double most = static_cast<double>(max->value()) / static_cast<double>(min->value());
    double have = static_cast<double>(ratio->value());
    if (ratio->value() < kMaxMilli && min->value() < kMaxMilli && max->value() < kMaxMilli) {
      have = static_cast<double>(ratio->milliValue()) / 1000;
      most = static_cast<double>(max->milliValue()) / static_cast<double>(min->milliValue());
    }
    if (have > most) errors_.invalid(at, ratio->str(), fmt::format("ratio {} is greater than max/min = {:f}", ratio->str(), most));
  }

  const v1::LimitRangeItem& item_;
  const Path p_;
  FieldErrors& errors_;
};

class LimitRangeStrategy : public OtherStrategy {
 public:
  void validateCreate(const Context&, const api::Object& o, FieldErrors& errors) const override {
    const auto& limits = o.as<v1::LimitRange>().spec.limits;
    for (size_t i = 0; i < limits.size(); i++) {
      Path p = Path("spec.limits").index(i);
      validateLimitType(limits[i].type, p.child("type"), errors);
      for (size_t k = 0; k < i; k++) {
        if (limits[k].type == limits[i].type) {
          errors.duplicate(p.child("type"), limits[i].type.view());
          break;
        }
      }
      LimitItem(limits[i], p, errors).validate();
    }
  }
  void validateUpdate(const Context& c, const api::Object& o, const api::Object&, FieldErrors& errors) const override {
    validateCreate(c, o, errors);
  }
};

// --- quotas -------------------------------------------------------------------------------------------

bool isScope(std::string_view s) {
  return isIn(s, {"Terminating", "NotTerminating", "BestEffort", "NotBestEffort", "PriorityClass", "VolumeAttributesClass",
                  "CrossNamespacePodAffinity"});
}

bool scopeFits(std::string_view scope, std::string_view resource) {
  bool compute = isIn(resource, {"cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory"});
  if (isIn(scope, {"Terminating", "NotTerminating", "NotBestEffort", "PriorityClass", "CrossNamespacePodAffinity"})) {
    return resource == "pods" || compute;
  }
  if (scope == "BestEffort") return resource == "pods";
  if (scope == "VolumeAttributesClass") return resource == "persistentvolumeclaims" || resource == "requests.storage";
  return true;
}

void validateQuotaName(std::string_view name, const Path& p, FieldErrors& errors) {
  validateResourceName(name, p, errors);
  if (name.find('/') == std::string_view::npos && !isStandardQuotaResource(name)) {
    errors.invalid(p, name, "must be a standard resource for quota");
  }
}

void validateAmounts(const Quantities& list, const Path& p, FieldErrors& errors) {
  for (const auto& [name, q] : list) {
    validateQuotaName(name, p.key(name), errors);
    validateQuantityOf(name, q, p.key(name), errors);
  }
}

void validateConflicts(const std::set<std::string_view>& scopes, const Path& p, const BadValue& shown, FieldErrors& errors) {
  if (scopes.count("BestEffort") && scopes.count("NotBestEffort")) errors.invalid(p, shown, "conflicting scopes");
  if (scopes.count("Terminating") && scopes.count("NotTerminating")) errors.invalid(p, shown, "conflicting scopes");
}

void validateScopes(const v1::ResourceQuotaSpec& s, FieldErrors& errors) {
  Path p("spec.scopes");
  BadValue shown = listValue(s.scopes);
  std::set<std::string_view> seen;
  for (const auto& scope : s.scopes) {
    if (!isScope(scope)) errors.invalid(p, shown, "unsupported scope");
    for (const auto& [name, q] : s.hard) {
      if (isStandardQuotaResource(name) && !scopeFits(scope, name)) errors.invalid(p, shown, "unsupported scope applied to resource");
    }
    seen.insert(scope.view());
  }
  validateConflicts(seen, p, shown, errors);
}

void validateScopeSelector(const v1::ResourceQuotaSpec& s, FieldErrors& errors) {
  if (!s.scopeSelector) return;
  Path p("spec.scopeSelector.matchExpressions");
  std::set<std::string_view> seen;
  for (const auto& r : s.scopeSelector->matchExpressions) {
    if (!isScope(r.scopeName)) errors.invalid(p.child("scopeName"), r.scopeName.view(), "unsupported scope");
    for (const auto& [name, q] : s.hard) {
      if (isStandardQuotaResource(name) && !scopeFits(r.scopeName, name)) {
        errors.invalid(p, structValue(*s.scopeSelector), "unsupported scope applied to resource");
      }
    }
    bool fixed = isIn(r.scopeName, {"BestEffort", "NotBestEffort", "Terminating", "NotTerminating", "CrossNamespacePodAffinity"});
    if (fixed && r.operator_ != "Exists") {
      errors.invalid(p.child("operator"), r.operator_.view(),
                     "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, "
                     "ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity");
    }
    if (isIn(r.operator_, {"In", "NotIn"})) {
      if (r.values.empty()) {
        errors.required(p.child("values"), "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector");
      }
    } else if (isIn(r.operator_, {"Exists", "DoesNotExist"})) {
      if (!r.values.empty()) {
        errors.invalid(p.child("values"), listValue(r.values),
                       "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector");
      }
    } else {
      errors.invalid(p.child("operator"), r.operator_.view(), "not a valid selector operator");
    }
    seen.insert(r.scopeName.view());
  }
  validateConflicts(seen, p, listValue(s.scopes), errors);
}

class ResourceQuotaStrategy : public OtherStrategy {
 public:
  void validateCreate(const Context&, const api::Object& o, FieldErrors& errors) const override {
    const auto& s = o.as<v1::ResourceQuota>().spec;
    validateAmounts(s.hard, Path("spec.hard"), errors);
    validateScopes(s, errors);
    validateScopeSelector(s, errors);
  }
  void validateUpdate(const Context& c, const api::Object& o, const api::Object& old, FieldErrors& errors) const override {
    validateCreate(c, o, errors);
    auto scopes = [](const api::Object& q) {
      std::set<std::string_view> out;
      for (const auto& s : q.as<v1::ResourceQuota>().spec.scopes) out.insert(s.view());
      return out;
    };
    immutable(scopes(o) == scopes(old), Path("spec.scopes"), listValue(o.as<v1::ResourceQuota>().spec.scopes), errors);
  }
  void validateStatusUpdate(const Context&, const api::Object& o, const api::Object&, FieldErrors& errors) const override {
    const auto& s = o.as<v1::ResourceQuota>().status;
    validateAmounts(s.hard, Path("status.hard"), errors);
    validateAmounts(s.used, Path("status.used"), errors);
  }
};

}  // namespace

std::unique_ptr<Strategy> makeLimitRange() { return std::make_unique<LimitRangeStrategy>(); }
std::unique_ptr<Strategy> makeResourceQuota() { return std::make_unique<ResourceQuotaStrategy>(); }

}  // namespace km::registry
