// What a job's spec must keep to (upstream's pkg/apis/batch/validation).
#include "registry/batch/job_validation.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <vector>

#include "api/types/batch_v1.h"
#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"
#include "base/strings.h"
#include "codec/ops.h"
#include "registry/batch/job_indexes.h"
#include "registry/core/pod_validation.h"
#include "registry/workload_rules.h"

namespace km::registry {

namespace batch = api::batch_v1;

namespace {

constexpr int32_t kMaxParallelism = 100000, kManyCompletions = 100000, kHighParallelism = 10000, kHighFailed = 10000;
constexpr size_t kMaxManagedBy = 63, kMaxIndexesText = 64 * 1024;
const BadValue kNoValue = BadValue::raw("");

BadValue optional(const std::optional<codec::String>& v) { return v ? BadValue(v->view()) : BadValue::raw("null"); }
BadValue optional(const std::optional<int32_t>& v) { return v ? BadValue(*v) : BadValue::raw("null"); }
template <typename T>
BadValue optional(const codec::Box<T>& v) {
  return v ? structValue(*v) : BadValue::raw("null");
}

void validateIndexed(const batch::JobSpec& s, const Path& p, FieldErrors& errors) {
  if (!s.completions) errors.required(p.child("completions"), "when completion mode is Indexed");
  auto most = [&](const std::optional<int32_t>& v, int32_t max, std::string_view field, std::string_view why) {
    if (v && *v > max) errors.invalid(p.child(field), *v, why);
  };
  most(s.parallelism, kMaxParallelism, "parallelism",
       fmt::format("must be less than or equal to {} when completion mode is Indexed", kMaxParallelism));
  if (s.completions) most(s.maxFailedIndexes, *s.completions, "maxFailedIndexes", "must be less than or equal to completions");
  most(s.maxFailedIndexes, kMaxParallelism, "maxFailedIndexes", fmt::format("must be less than or equal to {}", kMaxParallelism));
  if (s.completions.value_or(0) <= kManyCompletions || !s.backoffLimitPerIndex) return;
  if (!s.maxFailedIndexes) {
    errors.required(p.child("maxFailedIndexes"), fmt::format("must be specified when completions is above {}", kManyCompletions));
  }
  std::string why = fmt::format("must be less than or equal to {} when completions are above {} and used with backoff limit per index",
                                kHighParallelism, kManyCompletions);
  most(s.parallelism, kHighParallelism, "parallelism", why);
  most(s.maxFailedIndexes, kHighFailed, "maxFailedIndexes", why);
}

void validateOnExitCodes(const batch::PodFailurePolicyOnExitCodesRequirement& r, const std::set<std::string_view>& names,
                         const Path& p, FieldErrors& errors) {
  oneOf(r.operator_, {"In", "NotIn"}, p.child("operator"), errors, "valid values: [\"In\" \"NotIn\"]");
  if (r.containerName && !names.count(r.containerName->view())) {
    errors.invalid(p.child("containerName"), r.containerName->view(), "must be one of the container or initContainer names in the pod template");
  }
  Path values = p.child("values");
  if (r.values.empty()) {
    errors.invalid(values, BadValue::raw("[]"), "at least one value is required");
  } else if (r.values.size() > 255) {
    errors.tooMany(values, static_cast<int>(r.values.size()), 255);
  }
  std::set<int32_t> seen;
  bool sorted = true;
  for (size_t i = 0; i < r.values.size(); i++) {
    if (r.operator_ == "In" && r.values[i] == 0) errors.invalid(values.index(i), 0, "must not be 0 for the In operator");
    if (!seen.insert(r.values[i]).second) errors.duplicate(values.index(i), r.values[i]);
    if (i > 0 && r.values[i] < r.values[i - 1]) sorted = false;
  }
  if (!sorted) {
    std::string shown = "[";
    for (int32_t v : r.values) shown += (shown.size() > 1 ? "," : "") + std::to_string(v);
    errors.invalid(values, BadValue::raw(shown + "]"), "must be ordered");
  }
}

void validateFailurePolicy(const batch::JobSpec& s, const Path& p, FieldErrors& errors) {
  Path rules = p.child("rules");
  const auto& list = s.podFailurePolicy->rules;
  if (list.size() > 20) errors.tooMany(rules, static_cast<int>(list.size()), 20);
  std::set<std::string_view> names;
  for (const auto* containers : {&s.template_.spec.containers, &s.template_.spec.initContainers}) {
    for (const auto& c : *containers) names.insert(c.name.view());
  }
  for (size_t i = 0; i < list.size(); i++) {
    const auto& r = list[i];
    Path at = rules.index(i);
    if (r.action.empty()) {
      errors.required(at.child("action"), "valid values: [\"Count\" \"FailIndex\" \"FailJob\" \"Ignore\"]");
    } else if (r.action == "FailIndex") {
      if (!s.backoffLimitPerIndex) errors.invalid(at.child("action"), r.action.view(), "requires the backoffLimitPerIndex to be set");
    } else if (!isIn(r.action, {"Count", "FailJob", "Ignore"})) {
      errors.notSupported(at.child("action"), r.action.view(), {"Count", "FailIndex", "FailJob", "Ignore"});
    }
    if (r.onExitCodes) validateOnExitCodes(*r.onExitCodes, names, at.child("onExitCodes"), errors);
    if (r.onPodConditions.size() > 20) {
      errors.tooMany(at.child("onPodConditions"), static_cast<int>(r.onPodConditions.size()), 20);
    }
    for (size_t k = 0; k < r.onPodConditions.size(); k++) {
      Path c = at.child("onPodConditions").index(k);
      qualifiedName(r.onPodConditions[k].type, c.child("type"), errors);
      oneOf(r.onPodConditions[k].status, {"False", "True", "Unknown"}, c.child("status"), errors,
            "valid values: [\"False\" \"True\" \"Unknown\"]");
    }
    if (r.onExitCodes && !r.onPodConditions.empty()) {
      errors.invalid(at, kNoValue, "specifying both OnExitCodes and OnPodConditions is not supported");
    } else if (!r.onExitCodes && r.onPodConditions.empty()) {
      errors.invalid(at, kNoValue, "specifying one of OnExitCodes and OnPodConditions is required");
    }
  }
}

void validateSuccessRule(const batch::SuccessPolicyRule& r, int32_t completions, const Path& p, FieldErrors& errors) {
  if (!r.succeededCount && !r.succeededIndexes) {
    errors.required(p, "at least one of succeededCount or succeededIndexes must be specified");
  }
  int32_t total = 0;
  if (r.succeededIndexes) {
    Path at = p.child("succeededIndexes");
    if (r.succeededIndexes->size() > kMaxIndexesText) errors.tooLong(at, kMaxIndexesText);
    auto counted = countIndexes(*r.succeededIndexes, completions);
    if (counted.ok()) {
      total = *counted;
    } else {
      errors.invalid(at, r.succeededIndexes->view(), "error parsing succeededIndexes: " + counted.status().message());
    }
  }
  if (!r.succeededCount) return;
  Path at = p.child("succeededCount");
  nonNegative(*r.succeededCount, at, errors);
  if (*r.succeededCount > completions) {
    errors.invalid(at, *r.succeededCount,
                   fmt::format("must be less than or equal to {} (the number of specified completions)", completions));
  }
  if (r.succeededIndexes && *r.succeededCount > total) {
    errors.invalid(at, *r.succeededCount,
                   fmt::format("must be less than or equal to {} (the number of indexes in the specified succeededIndexes field)", total));
  }
}

void validateSuccessPolicy(const batch::JobSpec& s, const Path& p, FieldErrors& errors) {
  Path rules = p.child("rules");
  const auto& list = s.successPolicy->rules;
  if (list.empty()) errors.required(rules, "at least one rules must be specified when the successPolicy is specified");
  if (list.size() > 20) errors.tooMany(rules, static_cast<int>(list.size()), 20);
  for (size_t i = 0; i < list.size(); i++) validateSuccessRule(list[i], s.completions.value_or(0), rules.index(i), errors);
}

void validateReplacementPolicy(const batch::JobSpec& s, const Path& p, FieldErrors& errors) {
  std::string_view policy = *s.podReplacementPolicy;
  if (s.podFailurePolicy) {
    if (policy != "Failed") errors.notSupported(p, policy, {"Failed"});
  } else if (!isIn(policy, {"Failed", "TerminatingOrFailed"})) {
    errors.notSupported(p, policy, {"Failed", "TerminatingOrFailed"});
  }
}

void validateManagedBy(std::string_view value, const Path& p, FieldErrors& errors) {
  domainPrefixedPath(value, p, errors);
  if (value.size() > kMaxManagedBy) errors.tooLong(p, kMaxManagedBy);
}

void validateRestartPolicy(const batch::JobSpec& s, const Path& restart, FieldErrors& errors) {
  const auto& policy = s.template_.spec.restartPolicy;
  if (policy == "Always" || policy.empty()) {
    errors.required(restart, "valid values: \"OnFailure\", \"Never\"");
  } else if (!isIn(policy, {"OnFailure", "Never"})) {
    errors.notSupported(restart, policy.view(), {"OnFailure", "Never"});
  } else if (s.podFailurePolicy && policy != "Never") {
    errors.invalid(restart, policy.view(), "only \"Never\" is supported when podFailurePolicy is specified");
  }
}

// The labels and the selector that the server gives a job.
void validateGenerated(const batch::Job& j, bool prefixed, FieldErrors& errors) {
  if (j.spec.manualSelector.value_or(false) || !j.spec.selector) return;
  if (j.metadata.uid.empty()) errors.required(Path("metadata.uid"), "");
  std::vector<std::pair<std::string_view, std::string_view>> expected = {{kOldControllerUid, j.metadata.uid}, {kOldJobName, j.metadata.name}};
  if (prefixed) {
    expected.emplace_back(kControllerUid, j.metadata.uid);
    expected.emplace_back(kJobName, j.metadata.name);
  }
  const auto& labels = j.spec.template_.metadata.labels;
  codec::Map<codec::String> wanted;
  for (auto [key, value] : expected) {
    wanted[key] = value;
    Path at = Path("spec.template.metadata.labels").key(key);
    const codec::String* have = labels.find(key);
    if (have == nullptr) {
      errors.required(at, fmt::format("must be '{}'", value));
    } else if (*have != value) {
      errors.invalid(at, labelsValue(labels), fmt::format("must be '{}'", value));
    }
  }
  if (!matchesSelector(j.spec.selector, wanted)) {
    errors.invalid(Path("spec.selector"), selectorValue(j.spec.selector), "`selector` not auto-generated");
  }
}

void allowNodeAffinity(api::core_v1::PodSpec& was, const api::core_v1::PodSpec& now) {
  if (!now.affinity && was.affinity) {
    was.affinity->nodeAffinity.reset();
    if (!was.affinity->podAffinity && !was.affinity->podAntiAffinity) was.affinity.reset();
  } else if (now.affinity) {
    was.affinity.ensure().nodeAffinity = now.affinity->nodeAffinity;
  }
}

void allowResources(codec::List<api::core_v1::Container>& was, const codec::List<api::core_v1::Container>& now) {
  if (was.size() != now.size()) return;
  for (size_t i = 0; i < was.size(); i++) {
    if (was[i].name == now[i].name) was[i].resources = now[i].resources;
  }
}

// Where the pods of a suspended job without pods will run, and what they may use, can change still.
void validateTemplateUpdate(const batch::Job& now, const batch::Job& was, FieldErrors& errors) {
  api::core_v1::PodTemplateSpec t = was.spec.template_;
  const auto& n = now.spec.template_;
  bool suspended = was.spec.suspend.value_or(false);
  bool open = suspended && (!was.status.startTime || jobCondition(was, "Suspended") == "True") && was.status.active == 0;
  if (open) {
    allowNodeAffinity(t.spec, n.spec);
    t.metadata.labels = n.metadata.labels;
    t.metadata.annotations = n.metadata.annotations;
    t.spec.nodeSelector = n.spec.nodeSelector;
    t.spec.tolerations = n.spec.tolerations;
    t.spec.schedulingGates = n.spec.schedulingGates;
    allowResources(t.spec.containers, n.spec.containers);
    allowResources(t.spec.initContainers, n.spec.initContainers);
    immutable(codec::equal(&n.spec, &t.spec, api::core_v1::PodSpec::kType), Path("spec.template.spec"), structValue(n.spec), errors);
  } else {
    immutable(codec::equal(&n, &t, api::core_v1::PodTemplateSpec::kType), Path("spec.template"), structValue(n), errors);
  }
}

void validateCompletions(const batch::JobSpec& s, const batch::JobSpec& was, const Path& p, FieldErrors& errors) {
  if (!isIndexed(s)) {
    immutable(s.completions == was.completions, p, optional(s.completions), errors);
  } else if (s.completions != was.completions && s.completions && s.completions != s.parallelism) {
    errors.invalid(p, *s.completions, "can only be modified in tandem with spec.parallelism");
  }
}

void validateWholeSpec(const batch::JobSpec& s, FieldErrors& errors) {
  Path p("spec");
  validateJobSpec(s, p, errors);
  if (!s.selector) {
    errors.required(p.child("selector"), "");
  } else {
    validateLabelSelector(*s.selector, p.child("selector"), errors);
  }
  if (!matchesSelector(s.selector, s.template_.metadata.labels)) {
    errors.invalid(p.child("template.metadata.labels"), labelsValue(s.template_.metadata.labels), "`selector` does not match template `labels`");
  }
}

}  // namespace

bool isIndexed(const batch::JobSpec& s) { return s.completionMode && *s.completionMode == "Indexed"; }

std::string_view jobCondition(const batch::Job& j, std::string_view type) {
  for (const auto& c : j.status.conditions) {
    if (c.type == type && isIn(c.status, {"True", "False"})) return c.status;
  }
  return "";
}

void validateJobSpec(const batch::JobSpec& s, const Path& p, FieldErrors& errors) {
  auto count = [&](const auto& v, std::string_view field) {
    if (v) nonNegative(*v, p.child(field), errors);
  };
  count(s.parallelism, "parallelism");
  count(s.completions, "completions");
  count(s.activeDeadlineSeconds, "activeDeadlineSeconds");
  count(s.backoffLimit, "backoffLimit");
  count(s.ttlSecondsAfterFinished, "ttlSecondsAfterFinished");
  count(s.backoffLimitPerIndex, "backoffLimitPerIndex");
  if (s.maxFailedIndexes) {
    count(s.maxFailedIndexes, "maxFailedIndexes");
    if (!s.backoffLimitPerIndex) errors.required(p.child("backoffLimitPerIndex"), "when maxFailedIndexes is specified");
  }
  if (s.managedBy) validateManagedBy(*s.managedBy, p.child("managedBy"), errors);
  if (s.completionMode && !isIn(*s.completionMode, {"NonIndexed", "Indexed"})) {
    errors.notSupported(p.child("completionMode"), s.completionMode->view(), {"NonIndexed", "Indexed"});
  }
  if (isIndexed(s)) {
    validateIndexed(s, p, errors);
  } else if (!s.completionMode || *s.completionMode == "NonIndexed") {
    constexpr std::string_view kIndexed = "requires indexed completion mode";
    if (s.backoffLimitPerIndex) errors.invalid(p.child("backoffLimitPerIndex"), *s.backoffLimitPerIndex, kIndexed);
    if (s.maxFailedIndexes) errors.invalid(p.child("maxFailedIndexes"), *s.maxFailedIndexes, kIndexed);
  }
  if (s.podFailurePolicy) validateFailurePolicy(s, p.child("podFailurePolicy"), errors);
  if (s.successPolicy) {
    if (isIndexed(s)) {
      validateSuccessPolicy(s, p.child("successPolicy"), errors);
    } else {
      errors.invalid(p.child("successPolicy"), structValue(*s.successPolicy), "requires indexed completion mode");
    }
  }
  if (s.podReplacementPolicy) validateReplacementPolicy(s, p.child("podReplacementPolicy"), errors);
  validatePodTemplate(s.template_, p.child("template"), errors);
  validateRestartPolicy(s, p.child("template.spec.restartPolicy"), errors);
}

void validateJob(const batch::Job& j, bool prefixed, FieldErrors& errors) {
  validateGenerated(j, prefixed, errors);
  validateWholeSpec(j.spec, errors);
  if (!isIndexed(j.spec) || j.spec.completions.value_or(0) <= 0) return;
  std::string last = fmt::format("{}-{}", j.metadata.name, *j.spec.completions - 1);
  if (!api::isDns1123Label(last).empty()) {
    errors.invalid(Path("metadata.name"), j.metadata.name.view(),
                   fmt::format("will not able to create pod with invalid DNS label: {}", last));
  }
}

void validateJobUpdate(const batch::Job& j, const batch::Job& old, FieldErrors& errors) {
  const auto &s = j.spec, &was = old.spec;
  const auto& labels = was.template_.metadata.labels;
  // Upstream validates the whole spec twice: as of a new job, and against the old one.
  validateJob(j, labels.contains(kJobName) && labels.contains(kControllerUid), errors);
  Path p("spec");
  validateWholeSpec(s, errors);
  validateCompletions(s, was, p.child("completions"), errors);
  immutable(s.selector == was.selector, p.child("selector"), selectorValue(s.selector), errors);
  validateTemplateUpdate(j, old, errors);
  immutable(s.completionMode == was.completionMode, p.child("completionMode"), optional(s.completionMode), errors);
  immutable(s.podFailurePolicy == was.podFailurePolicy, p.child("podFailurePolicy"), optional(s.podFailurePolicy), errors);
  immutable(s.backoffLimitPerIndex == was.backoffLimitPerIndex, p.child("backoffLimitPerIndex"), optional(s.backoffLimitPerIndex), errors);
  immutable(s.managedBy == was.managedBy, p.child("managedBy"), optional(s.managedBy), errors);
  immutable(s.successPolicy == was.successPolicy, p.child("successPolicy"), optional(s.successPolicy), errors);
}

}  // namespace km::registry
