// Configurations of validating and mutating webhooks. Match conditions are checked but for their expressions.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <type_traits>
#include <vector>

#include "api/types/admissionregistration_v1.h"
#include "api/types/meta_v1.h"
#include "base/strings.h"
#include "codec/ops.h"
#include "registry/go_url.h"
#include "registry/kinds.h"
#include "registry/other_columns.h"
#include "registry/rules.h"

namespace km::registry {

namespace v1 = api::admissionregistration_v1;

namespace {

constexpr std::string_view kUrlForm = "; desired format: https://host[/path]";
constexpr std::string_view kReviewVersions = "v1, v1beta1";
constexpr int kMostConditions = 64;

// What an update may keep though a new configuration may not have it.
struct Leniency {
  bool sideEffects = false, reviewVersions = false, sameNames = false, labelValues = false, conditions = false;
};

bool hasStar(const codec::List<codec::String>& list) {
  return std::any_of(list.begin(), list.end(), [](const auto& s) { return s == "*"; });
}

void validateResources(const codec::List<codec::String>& list, const Path& p, FieldErrors& errors) {
  if (list.empty()) errors.required(p, "");
  std::set<std::string_view> allOf, everywhere;  // x of "x/*", and x of "*/x"
  bool all = false, star = false, plain = false;
  for (size_t i = 0; i < list.size(); i++) {
    std::string_view entry = list[i];
    if (entry.empty()) {
      errors.required(p.index(i), "");
      continue;
    }
    all = all || entry == "*/*";
    star = star || entry == "*";
    size_t slash = entry.find('/');
    if (slash == std::string_view::npos) {
      plain = entry != "*";
      continue;
    }
    std::string_view resource = entry.substr(0, slash), sub = entry.substr(slash + 1);
    if (allOf.count(resource) != 0) errors.invalid(p.index(i), entry, fmt::format("if '{}/*' is present, must not specify {}", resource, entry));
    if (everywhere.count(sub) != 0) errors.invalid(p.index(i), entry, fmt::format("if '*/{}' is present, must not specify {}", sub, entry));
    if (sub == "*") allOf.insert(resource);
    if (resource == "*") everywhere.insert(sub);
  }
  if (list.size() > 1 && all) errors.invalid(p, listValue(list), "if '*/*' is present, must not specify other resources");
  if (star && plain) errors.invalid(p, listValue(list), "if '*' is present, must not specify other resources without subresources");
}

void validateRule(const v1::RuleWithOperations& r, const Path& p, FieldErrors& errors) {
  Path operations = p.child("operations"), groups = p.child("apiGroups"), versions = p.child("apiVersions");
  if (r.operations.empty()) errors.required(operations, "");
  if (r.operations.size() > 1 && hasStar(r.operations)) {
    errors.invalid(operations, listValue(r.operations), "if '*' is present, must not specify other operations");
  }
  for (size_t i = 0; i < r.operations.size(); i++) {
    if (isIn(r.operations[i], {"*", "CONNECT", "CREATE", "DELETE", "UPDATE"})) continue;
    errors.notSupported(operations.index(i), r.operations[i].view(), {"*", "CONNECT", "CREATE", "DELETE", "UPDATE"});
  }
  if (r.apiGroups.empty()) errors.required(groups, "");
  if (r.apiGroups.size() > 1 && hasStar(r.apiGroups)) errors.invalid(groups, listValue(r.apiGroups), "if '*' is present, must not specify other API groups");
  if (r.apiVersions.empty()) errors.required(versions, "");
  if (r.apiVersions.size() > 1 && hasStar(r.apiVersions)) {
    errors.invalid(versions, listValue(r.apiVersions), "if '*' is present, must not specify other API versions");
  }
  for (size_t i = 0; i < r.apiVersions.size(); i++) {
    if (r.apiVersions[i].empty()) errors.required(versions.index(i), "");
  }
  validateResources(r.resources, p.child("resources"), errors);
  if (r.scope && !isIn(*r.scope, {"*", "Cluster", "Namespaced"})) {
    errors.notSupported(p.child("scope"), r.scope->view(), {"*", "Cluster", "Namespaced"});
  }
}

void validateUrl(std::string_view text, const Path& p, FieldErrors& errors) {
  auto u = parseGoUrl(text);
  if (!u.ok()) return errors.required(p, fmt::format("url must be a valid URL: {}{}", u.status().message(), kUrlForm));
  if (u->scheme != "https") errors.invalid(p, u->scheme, fmt::format("'https' is the only allowed URL scheme{}", kUrlForm));
  if (u->host.empty()) errors.invalid(p, u->host, fmt::format("host must be specified{}", kUrlForm));
  if (u->user) errors.invalid(p, *u->user, "user information is not permitted in the URL");
  if (!u->fragment.empty()) errors.invalid(p, u->fragment, "fragments are not permitted in the URL");
  if (!u->query.empty()) errors.invalid(p, u->query, "query parameters are not permitted in the URL");
}

void validateServicePath(std::string_view path, const Path& p, FieldErrors& errors) {
  if (path.empty() || path == "/") return;
  if (path == "//") return errors.invalid(p, path, "segment[0] may not be empty");
  if (!path.starts_with('/')) errors.invalid(p, path, "must start with a '/'");
  std::string_view rest = path.substr(1);
  if (rest.ends_with('/')) rest.remove_suffix(1);
  for (size_t i = 0;; i++) {
    size_t slash = rest.find('/');
    std::string_view segment = rest.substr(0, slash);
    if (segment.empty()) errors.invalid(p, path, fmt::format("segment[{}] may not be empty", i));
    for (const std::string& bad : segment.empty() ? api::Messages{} : api::isDns1123Subdomain(segment)) {
      errors.invalid(p, path, fmt::format("segment[{}]: {}", i, bad));
    }
    if (slash == std::string_view::npos) return;
    rest.remove_prefix(slash + 1);
  }
}

void validateService(const v1::ServiceReference& s, const Path& p, FieldErrors& errors) {
  // Upstream hands over name and namespace in each other's place: an absent namespace is told as an absent name.
  if (s.namespace_.empty()) errors.required(p.child("name"), "");
  if (s.name.empty()) errors.required(p.child("namespace"), "");
  servicePort(s.port, p.child("port"), errors);
  if (s.path) validateServicePath(*s.path, p.child("path"), errors);
}

void validateConditionsOf(const codec::List<v1::MatchCondition>& list, const Path& p, FieldErrors& errors) {
  if (list.size() > kMostConditions) errors.tooMany(p, static_cast<int>(list.size()), kMostConditions);
  std::set<std::string_view> seen;
  for (size_t i = 0; i < list.size(); i++) {
    Path name = p.index(i).child("name");
    if (trimSpace(list[i].expression).empty()) errors.required(p.index(i).child("expression"), "");
    if (list[i].name.empty()) {
      errors.required(name, "");
      continue;
    }
    qualifiedName(list[i].name, name, errors);
    if (!seen.insert(list[i].name.view()).second) errors.duplicate(name, list[i].name.view());
  }
}

void validateName(std::string_view name, const Path& p, FieldErrors& errors) {
  if (name.empty()) return errors.required(p, "");
  if (auto bad = api::isDns1123Subdomain(name); !bad.empty()) return errors.invalid(p, name, fmt::to_string(fmt::join(bad, ",")));
  if (std::count(name.begin(), name.end(), '.') < 2) errors.invalid(p, name, "should be a domain with at least three segments separated by dots");
}

bool isReviewVersion(std::string_view v) {
  return isIn(v, {"v1", "v1beta1"});
}

void validateReviewVersions(const codec::List<codec::String>& list, const Leniency& ok, const Path& p, FieldErrors& errors) {
  if (list.empty()) return errors.required(p, fmt::format("must specify one of {}", kReviewVersions));
  std::set<std::string_view> seen;
  bool known = false;
  for (size_t i = 0; i < list.size(); i++) {
    if (!seen.insert(list[i].view()).second) {
      errors.invalid(p.index(i), list[i].view(), "duplicate version");
      continue;
    }
    errors.each(p.index(i), list[i].view(), api::isDns1035Label(list[i]));
    known = known || isReviewVersion(list[i]);
  }
  if (!known && !ok.reviewVersions) errors.invalid(p, listValue(list), fmt::format("must include at least one of {}", kReviewVersions));
}

void validateSideEffects(const std::optional<codec::String>& value, const Leniency& ok, const Path& p, FieldErrors& errors) {
  std::vector<std::string_view> known = {"None", "NoneOnDryRun"};
  if (ok.sideEffects) known = {"None", "NoneOnDryRun", "Some", "Unknown"};
  if (!value) {
    errors.required(p, fmt::format("must specify one of {}", fmt::join(known, ", ")));
  } else if (std::find(known.begin(), known.end(), value->view()) == known.end()) {
    errors.notSupported(p, value->view(), known);
  }
}

void validateClientConfig(const v1::WebhookClientConfig& c, const Path& p, FieldErrors& errors) {
  bool url = static_cast<bool>(c.url), service = static_cast<bool>(c.service);
  if (url == service) return errors.required(p, "exactly one of url or service is required");
  if (url) return validateUrl(*c.url, p.child("url"), errors);
  validateService(*c.service, p.child("service"), errors);
}

template <typename Webhook>
constexpr bool kMutates = std::is_same_v<Webhook, v1::MutatingWebhook>;

template <typename Webhook>
void validateWebhook(const Webhook& w, const Leniency& ok, const Path& p, FieldErrors& errors) {
  validateName(w.name, p.child("name"), errors);
  for (size_t i = 0; i < w.rules.size(); i++) validateRule(w.rules[i], p.child("rules").index(i), errors);
  if (w.failurePolicy && !isIn(*w.failurePolicy, {"Fail", "Ignore"})) {
    errors.notSupported(p.child("failurePolicy"), w.failurePolicy->view(), {"Fail", "Ignore"});
  }
  if (w.matchPolicy && !isIn(*w.matchPolicy, {"Equivalent", "Exact"})) {
    errors.notSupported(p.child("matchPolicy"), w.matchPolicy->view(), {"Equivalent", "Exact"});
  }
  validateSideEffects(w.sideEffects, ok, p.child("sideEffects"), errors);
  if (w.timeoutSeconds && (*w.timeoutSeconds > 30 || *w.timeoutSeconds < 1)) {
    errors.invalid(p.child("timeoutSeconds"), *w.timeoutSeconds, "the timeout value must be between 1 and 30 seconds");
  }
  if (w.namespaceSelector) validateLabelSelector(*w.namespaceSelector, p.child("namespaceSelector"), errors, ok.labelValues);
  if (w.objectSelector) validateLabelSelector(*w.objectSelector, p.child("objectSelector"), errors, ok.labelValues);
  if constexpr (kMutates<Webhook>) {
    if (w.reinvocationPolicy && !isIn(*w.reinvocationPolicy, {"IfNeeded", "Never"})) {
      errors.notSupported(p.child("reinvocationPolicy"), w.reinvocationPolicy->view(), {"IfNeeded", "Never"});
    }
  }
  validateClientConfig(w.clientConfig, p.child("clientConfig"), errors);
  if (!ok.conditions) validateConditionsOf(w.matchConditions, p.child("matchConditions"), errors);
}

template <typename Webhook>
void validateAll(const codec::List<Webhook>& list, const Leniency& ok, FieldErrors& errors) {
  Path p("webhooks");
  std::set<std::string_view> names;
  for (size_t i = 0; i < list.size(); i++) {
    validateWebhook(list[i], ok, p.index(i), errors);
    validateReviewVersions(list[i].admissionReviewVersions, ok, p.index(i).child("admissionReviewVersions"), errors);
    if (list[i].name.empty() || ok.sameNames) continue;
    if (!names.insert(list[i].name.view()).second) errors.duplicate(p.index(i).child("name"), list[i].name.view());
  }
}

template <typename Webhook>
bool sameConditions(const Webhook& a, const Webhook& b) {
  Webhook x, y;
  x.matchConditions = a.matchConditions;
  y.matchConditions = b.matchConditions;
  return codec::equal(&x, &y, Webhook::kType);
}

// What the stored configuration has already.
template <typename Webhook>
Leniency leniencyOf(const codec::List<Webhook>& now, const codec::List<Webhook>& was) {
  Leniency ok;
  std::set<std::string_view> names;
  ok.conditions = now.size() == was.size();
  for (size_t i = 0; i < was.size(); i++) {
    const Webhook& w = was[i];
    const auto& versions = w.admissionReviewVersions;
    ok.sideEffects = ok.sideEffects || !w.sideEffects || !isIn(*w.sideEffects, {"None", "NoneOnDryRun"});
    ok.reviewVersions = ok.reviewVersions || (!versions.empty() && std::none_of(versions.begin(), versions.end(),
                                                                               [](const auto& v) { return isReviewVersion(v); }));
    ok.sameNames = ok.sameNames || !names.insert(w.name.view()).second;
    FieldErrors selectors;
    if (w.namespaceSelector) validateLabelSelector(*w.namespaceSelector, Path(), selectors);
    if (w.objectSelector) validateLabelSelector(*w.objectSelector, Path(), selectors);
    ok.labelValues = ok.labelValues || !selectors.empty();
    ok.conditions = ok.conditions && sameConditions(now[i], w);
  }
  return ok;
}

template <typename Configuration>
class WebhookStrategy : public OtherStrategy {
 public:
  void validateCreate(const Context&, const api::Object& o, FieldErrors& errors) const override {
    validateAll(o.as<Configuration>().webhooks, {}, errors);
  }
  void validateUpdate(const Context&, const api::Object& o, const api::Object& old, FieldErrors& errors) const override {
    const auto& now = o.as<Configuration>().webhooks;
    validateAll(now, leniencyOf(now, old.as<Configuration>().webhooks), errors);
  }
};

}  // namespace

std::unique_ptr<Strategy> makeMutatingWebhooks() {
  return std::make_unique<WebhookStrategy<v1::MutatingWebhookConfiguration>>();
}

std::unique_ptr<Strategy> makeValidatingWebhooks() {
  return std::make_unique<WebhookStrategy<v1::ValidatingWebhookConfiguration>>();
}

}  // namespace km::registry
