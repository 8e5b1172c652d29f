#include "registry/flowcontrol/flowcontrol.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "api/types/flowcontrol_v1.h"
#include "api/types/meta_v1.h"
#include "base/strings.h"
#include "codec/ops.h"
#include "registry/other_columns.h"
#include "registry/rules.h"

namespace km::registry {

namespace v1 = api::flowcontrol_v1;

namespace {

using Words = codec::List<codec::String>;

constexpr int32_t kMaxPrecedence = 10000, kMaxQueues = 10 * 1000 * 1000;
constexpr int kMaxHashBits = 60;
constexpr std::string_view kVerbs[] = {"create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"};

bool has(const Words& list, std::string_view word) { return std::find(list.begin(), list.end(), word) != list.end(); }

// The two that the server makes and relies on.
bool isMandatory(std::string_view name) { return name == "exempt" || name == "catch-all"; }

// A list of names, or "*" alone.
bool onlyStar(const Words& list, std::string_view what, const Path& p, FieldErrors& errors) {
  if (!has(list, "*")) return false;
  if (list.size() > 1) errors.invalid(p, listValue(list), fmt::format("if '*' is present, must not specify other {}", what));
  return true;
}

void validateVerbs(const Words& verbs, const Path& p, FieldErrors& errors) {
  if (verbs.empty()) return errors.required(p, "verbs must contain at least one value");
  if (onlyStar(verbs, "verbs", p, errors)) return;
  for (const auto& v : verbs) {
    if (std::find(std::begin(kVerbs), std::end(kVerbs), v.view()) != std::end(kVerbs)) continue;
    return errors.notSupported(p, listValue(verbs), {std::begin(kVerbs), std::end(kVerbs)});
  }
}

void validatePath(std::string_view path, const Path& p, FieldErrors& errors) {
  if (path.empty()) return errors.invalid(p, path, "must not be empty");
  if (path == "/") return;
  if (path[0] != '/') return errors.invalid(p, path, "must start with slash");
  if (contains(path, " ")) return errors.invalid(p, path, "must not contain white-space");
  if (contains(path, "//")) return errors.invalid(p, path, "must not contain double slash");
  auto stars = std::count(path.begin(), path.end(), '*');
  if (stars > 1 || (stars == 1 && !path.ends_with("/*"))) errors.invalid(p, path, "wildcard can only do suffix matching");
}

void validateRule(const v1::NonResourcePolicyRule& r, const Path& p, FieldErrors& errors) {
  validateVerbs(r.verbs, p.child("verbs"), errors);
  Path urls = p.child("nonResourceURLs");
  if (r.nonResourceURLs.empty()) return errors.required(urls, "nonResourceURLs must contain at least one value");
  if (onlyStar(r.nonResourceURLs, "non-resource URLs", urls, errors)) return;
  for (size_t i = 0; i < r.nonResourceURLs.size(); i++) validatePath(r.nonResourceURLs[i], urls.index(i), errors);
}

void validateRule(const v1::ResourcePolicyRule& r, const Path& p, FieldErrors& errors) {
  validateVerbs(r.verbs, p.child("verbs"), errors);
  if (r.apiGroups.empty()) {
    errors.required(p.child("apiGroups"), "resource rules must supply at least one api group");
  } else {
    onlyStar(r.apiGroups, "api groups", p.child("apiGroups"), errors);
  }
  if (r.resources.empty()) {
    errors.required(p.child("resources"), "resource rules must supply at least one resource");
  } else {
    onlyStar(r.resources, "resources", p.child("resources"), errors);
  }
  Path namespaces = p.child("namespaces");
  if (r.namespaces.empty() && !r.clusterScope) {
    return errors.required(namespaces, "resource rules that are not cluster scoped must supply at least one namespace");
  }
  if (onlyStar(r.namespaces, "namespaces", namespaces, errors)) return;
  for (size_t i = 0; i < r.namespaces.size(); i++) {
    for (const std::string& m : api::isDns1123Label(r.namespaces[i])) {
      errors.invalid(namespaces.index(i), r.namespaces[i].view(), "each member of this list must be '*' or a DNS-1123 label; " + m);
    }
  }
}

void validateAccount(const v1::ServiceAccountSubject& a, const Path& p, FieldErrors& errors) {
  if (a.name.empty()) {
    errors.required(p.child("name"), "");
  } else if (a.name != "*") {
    dnsSubdomain(a.name, p.child("name"), errors);
  }
  if (a.namespace_.empty()) {
    errors.required(p.child("namespace"), "must specify namespace for service account");
  } else {
    dnsLabel(a.namespace_, p.child("namespace"), errors);
  }
}

void validateSubject(const v1::Subject& s, const Path& p, FieldErrors& errors) {
  struct Part {
    std::string_view kind, field;
    bool given;
  };
  const Part parts[] = {{"ServiceAccount", "serviceAccount", static_cast<bool>(s.serviceAccount)},
                        {"User", "user", static_cast<bool>(s.user)},
                        {"Group", "group", static_cast<bool>(s.group)}};
  if (!isIn(s.kind, {"ServiceAccount", "User", "Group"})) {
    return errors.notSupported(p.child("kind"), s.kind.view(), {"Group", "ServiceAccount", "User"});
  }
  for (const Part& part : parts) {
    if (s.kind != part.kind) continue;
    Path at = p.child(part.field);
    if (!part.given) {
      errors.required(at, fmt::format("{} is required when subject kind is '{}'", part.field, part.kind));
    } else if (s.kind == "ServiceAccount") {
      validateAccount(*s.serviceAccount, at, errors);
    } else if (s.kind == "User" ? s.user->name.empty() : s.group->name.empty()) {
      errors.required(at.child("name"), "");
    }
  }
  for (const Part& part : parts) {
    if (s.kind == part.kind || !part.given) continue;
    errors.forbidden(p.child(part.field), fmt::format("{} is forbidden when subject kind is not '{}'", part.field, part.kind));
  }
}

void validateRules(const v1::PolicyRulesWithSubjects& r, const Path& p, FieldErrors& errors) {
  if (r.subjects.empty()) errors.required(p.child("subjects"), "subjects must contain at least one value");
  for (size_t i = 0; i < r.subjects.size(); i++) validateSubject(r.subjects[i], p.child("subjects").index(i), errors);
  if (r.resourceRules.empty() && r.nonResourceRules.empty()) {
    errors.required(p, "at least one of resourceRules and nonResourceRules has to be non-empty");
  }
  for (size_t i = 0; i < r.resourceRules.size(); i++) validateRule(r.resourceRules[i], p.child("resourceRules").index(i), errors);
  for (size_t i = 0; i < r.nonResourceRules.size(); i++) validateRule(r.nonResourceRules[i], p.child("nonResourceRules").index(i), errors);
}

template <typename T>
void validateStatus(const T& status, FieldErrors& errors) {
  std::set<std::string_view> seen;
  for (size_t i = 0; i < status.conditions.size(); i++) {
    Path at = Path("status.conditions").index(i).child("type");
    std::string_view type = status.conditions[i].type;
    if (!seen.insert(type).second) errors.duplicate(at, type);
    if (type.empty()) errors.required(at, "");
  }
}

class FlowSchemaStrategy : public OtherStrategy {
 public:
  void validateCreate(const Context&, const api::Object& o, FieldErrors& errors) const override {
    validateSpec(o, errors);
    validateStatus(o.as<v1::FlowSchema>().status, errors);
  }
  void validateUpdate(const Context&, const api::Object& o, const api::Object& old, FieldErrors& errors) const override {
    validateSpec(o, errors);
    if (isMandatory(o.name()) && !samePart(o, old, "spec")) {
      errors.invalid(Path("spec"), structValue(o.as<v1::FlowSchema>().spec), fmt::format("spec of '{}' must equal the fixed value", o.name()));
    }
    validateStatus(o.as<v1::FlowSchema>().status, errors);
  }
  void validateStatusUpdate(const Context&, const api::Object& o, const api::Object&, FieldErrors& errors) const override {
    validateStatus(o.as<v1::FlowSchema>().status, errors);
  }
  // As requests are matched with them: by precedence, then by name.
  void orderRows(std::vector<api::ObjectPtr>& list) const override {
    std::stable_sort(list.begin(), list.end(), [](const api::ObjectPtr& a, const api::ObjectPtr& b) {
      return a->as<v1::FlowSchema>().spec.matchingPrecedence < b->as<v1::FlowSchema>().spec.matchingPrecedence;
    });
  }

 private:
  static void validateSpec(const api::Object& o, FieldErrors& errors) {
    const auto& s = o.as<v1::FlowSchema>().spec;
    Path p("spec"), precedence = p.child("matchingPrecedence"), level = p.child("priorityLevelConfiguration.name");
    if (s.matchingPrecedence <= 0) errors.invalid(precedence, s.matchingPrecedence, "must be a positive value");
    if (s.matchingPrecedence > kMaxPrecedence) {
      errors.invalid(precedence, s.matchingPrecedence, fmt::format("must not be greater than {}", kMaxPrecedence));
    }
    if (s.matchingPrecedence == 1 && o.name() != "exempt") {
      errors.invalid(precedence, s.matchingPrecedence, "only the schema named 'exempt' may have matchingPrecedence 1");
    }
    if (s.distinguisherMethod && !isIn(s.distinguisherMethod->type, {"ByUser", "ByNamespace"})) {
      errors.notSupported(p.child("distinguisherMethod.type"), structValue(*s.distinguisherMethod), {"ByNamespace", "ByUser"});
    }
    if (s.priorityLevelConfiguration.name.empty()) {
      errors.required(level, "must reference a priority level");
    } else {
      dnsSubdomain(s.priorityLevelConfiguration.name, level, errors);
    }
    for (size_t i = 0; i < s.rules.size(); i++) validateRules(s.rules[i], p.child("rules").index(i), errors);
  }
};

void validateShares(const std::optional<int32_t>& shares, const Path& p, FieldErrors& errors) {
  if (shares && *shares < 0) errors.invalid(p.child("nominalConcurrencyShares"), *shares, "must be a non-negative integer");
}

void validateLendable(const std::optional<int32_t>& percent, const Path& p, FieldErrors& errors) {
  if (percent && (*percent < 0 || *percent > 100)) {
    errors.invalid(p.child("lendablePercent"), *percent, "must be between 0 and 100, inclusive");
  }
}

void validateQueuing(const v1::QueuingConfiguration& q, const Path& p, FieldErrors& errors) {
  if (q.queueLengthLimit <= 0) errors.invalid(p.child("queueLengthLimit"), q.queueLengthLimit, "must be positive");
  if (q.queues <= 0) {
    errors.invalid(p.child("queues"), q.queues, "must be positive");
  } else if (q.queues > kMaxQueues) {
    errors.invalid(p.child("queues"), q.queues, fmt::format("must not be greater than {}", kMaxQueues));
  }
  Path hand = p.child("handSize");
  if (q.handSize <= 0) return errors.invalid(hand, q.handSize, "must be positive");
  if (q.handSize > q.queues) return errors.invalid(hand, q.handSize, fmt::format("should not be greater than queues ({})", q.queues));
  int bits = static_cast<int>(std::ceil(std::log2(static_cast<double>(q.queues)) * q.handSize));
  if (bits > kMaxHashBits) {
    errors.invalid(hand, q.handSize, fmt::format("required entropy bits of deckSize {} and handSize {} should not be greater than {}", q.queues,
                                                 q.handSize, kMaxHashBits));
  }
}

void validateResponse(const v1::LimitResponse& r, const Path& p, FieldErrors& errors) {
  Path queuing = p.child("queuing");
  if (r.type == "Reject") {
    if (r.queuing) errors.forbidden(queuing, "must be nil if limited.limitResponse.type is not Limited");
  } else if (r.type == "Queue") {
    if (!r.queuing) return errors.required(queuing, "must not be empty if limited.limitResponse.type is Limited");
    validateQueuing(*r.queuing, queuing, errors);
  } else {
    errors.notSupported(p.child("type"), r.type.view(), {"Queue", "Reject"});
  }
}

class PriorityLevelStrategy : public OtherStrategy {
 public:
  void validateCreate(const Context&, const api::Object& o, FieldErrors& errors) const override {
    validateSpec(o, errors);
    validateStatus(o.as<v1::PriorityLevelConfiguration>().status, errors);
  }
  void validateUpdate(const Context&, const api::Object& o, const api::Object& old, FieldErrors& errors) const override {
    validateSpec(o, errors);
    const auto& now = o.as<v1::PriorityLevelConfiguration>().spec;
    if (isMandatory(o.name())) {
      // Of the exempt level, how much it may lend can be set.
      v1::PriorityLevelConfigurationSpec want = old.as<v1::PriorityLevelConfiguration>().spec;
      bool exempt = o.name() == "exempt";
      if (exempt) want.exempt = now.exempt;
      if (!codec::equal(&want, &now, v1::PriorityLevelConfigurationSpec::kType)) {
        errors.invalid(Path("spec"), structValue(now), fmt::format("spec of '{}' {}must equal the fixed value", o.name(),
                                                                   exempt ? "except the 'spec.exempt' field " : ""));
      }
    }
    validateStatus(o.as<v1::PriorityLevelConfiguration>().status, errors);
  }
  void validateStatusUpdate(const Context&, const api::Object& o, const api::Object&, FieldErrors& errors) const override {
    validateStatus(o.as<v1::PriorityLevelConfiguration>().status, errors);
  }

 private:
  static void validateSpec(const api::Object& o, FieldErrors& errors) {
    const auto& s = o.as<v1::PriorityLevelConfiguration>().spec;
    Path p("spec"), limited = p.child("limited"), exempt = p.child("exempt");
    if ((o.name() == "exempt") != (s.type == "Exempt")) {
      errors.invalid(p.child("type"), s.type.view(), "must be 'Exempt' if and only if `name` is 'exempt'");
    }
    if (s.type == "Exempt") {
      if (s.limited) errors.forbidden(limited, "must be nil if the type is not Limited");
      if (s.exempt) {
        validateShares(s.exempt->nominalConcurrencyShares, exempt, errors);
        validateLendable(s.exempt->lendablePercent, exempt, errors);
      }
    } else if (s.type == "Limited") {
      if (s.exempt) errors.forbidden(exempt, "must be nil if the type is Limited");
      if (!s.limited) return errors.required(limited, "must not be empty when type is Limited");
      validateShares(s.limited->nominalConcurrencyShares, limited, errors);
      validateResponse(s.limited->limitResponse, limited.child("limitResponse"), errors);
      validateLendable(s.limited->lendablePercent, limited, errors);
      if (s.limited->borrowingLimitPercent && *s.limited->borrowingLimitPercent < 0) {
        errors.invalid(limited.child("borrowingLimitPercent"), *s.limited->borrowingLimitPercent, "if specified, must be a non-negative integer");
      }
    } else {
      errors.notSupported(p.child("type"), s.type.view(), {"Exempt", "Limited"});
    }
  }
};

}  // namespace

std::unique_ptr<Strategy> makeFlowSchema() { return std::make_unique<FlowSchemaStrategy>(); }
std::unique_ptr<Strategy> makePriorityLevel() { return std::make_unique<PriorityLevelStrategy>(); }

}  // namespace km::registry
