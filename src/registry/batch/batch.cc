// Jobs and CronJobs.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "api/types/batch_v1.h"
#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"
#include "base/strings.h"
#include "codec/ops.h"
#include "registry/cells.h"
#include "registry/core/pod_columns.h"
#include "registry/core/pod_prepare.h"
#include "registry/kinds.h"
#include "registry/batch/cron_schedule.h"
#include "registry/workload_rules.h"

namespace km::registry {
namespace {

namespace batch = api::batch_v1;

constexpr std::string_view kControllerUid = "batch.kubernetes.io/controller-uid", kOldControllerUid = "controller-uid";
constexpr std::string_view kJobName = "batch.kubernetes.io/job-name", kOldJobName = "job-name";
constexpr int32_t kMaxParallelism = 100000, kManyCompletions = 100000, kHighParallelism = 10000, kHighFailed = 10000;

BadValue optional(const std::optional<codec::String>& v) { return v ? BadValue(v->view()) : BadValue::raw("null"); }
BadValue optional(const std::optional<int32_t>& v) { return v ? BadValue(*v) : BadValue::raw("null"); }
template <typename T>
BadValue optional(const codec::Box<T>& v) {
  return v ? structValue(*v) : BadValue::raw("null");
}

bool isIndexed(const batch::JobSpec& s) { return s.completionMode && *s.completionMode == "Indexed"; }

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
  }
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
    Path at = p.child("successPolicy");
    if (!isIndexed(s)) {
      errors.invalid(at, structValue(*s.successPolicy), "requires indexed completion mode");
    } else if (s.successPolicy->rules.empty()) {
      errors.required(at.child("rules"), "at least one rules must be specified when the successPolicy is specified");
    } else if (s.successPolicy->rules.size() > 20) {
      errors.tooMany(at.child("rules"), static_cast<int>(s.successPolicy->rules.size()), 20);
    }
  }
  if (s.podReplacementPolicy) {
    Path at = p.child("podReplacementPolicy");
    if (s.podFailurePolicy && *s.podReplacementPolicy != "Failed") {
      errors.notSupported(at, s.podReplacementPolicy->view(), {"Failed"});
    } else if (!isIn(*s.podReplacementPolicy, {"Failed", "TerminatingOrFailed"})) {
      errors.notSupported(at, s.podReplacementPolicy->view(), {"Failed", "TerminatingOrFailed"});
    }
  }
  validatePodTemplate(s.template_, p.child("template"), errors);
  Path restart = p.child("template.spec.restartPolicy");
  const auto& policy = s.template_.spec.restartPolicy;
  if (policy == "Always" || policy.empty()) {
    errors.required(restart, "valid values: \"OnFailure\", \"Never\"");
  } else if (!isIn(policy, {"OnFailure", "Never"})) {
    errors.notSupported(restart, policy.view(), {"OnFailure", "Never"});
  } else if (s.podFailurePolicy && policy != "Never") {
    errors.invalid(restart, policy.view(), "only \"Never\" is supported when podFailurePolicy is specified");
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

bool conditionTrue(const batch::Job& j, std::string_view type) {
  for (const auto& c : j.status.conditions) {
    if (c.type == type) return c.status == "True";
  }
  return false;
}

std::string statusText(const batch::Job& j) {
  if (conditionTrue(j, "Complete")) return "Complete";
  if (conditionTrue(j, "Failed")) return "Failed";
  if (j.metadata.deletionTimestamp) return "Terminating";
  for (std::string_view t : {"Suspended", "FailureTarget", "SuccessCriteriaMet"}) {
    if (conditionTrue(j, t)) return std::string(t);
  }
  return "Running";
}

void warnJobSpec(const Context& c, const api::Object& o, const api::Object* old, const batch::JobSpec& s, const Path& p) {
  if (c.subresource == "status" || (old != nullptr && o.meta().generation == old->meta().generation)) return;
  if (isIndexed(s) && s.completions.value_or(0) > kManyCompletions && s.parallelism.value_or(0) > kHighParallelism) {
    c.warn(fmt::format("{}: In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, Kubernetes "
                       "might not be able to track completedIndexes when a big number of indexes fail", p.str()));
  }
  warnTemplate(c, o, old, s.template_, p.child("template"));
}

class JobStrategy : public Strategy {
 public:
  void warnings(const Context& c, const api::Object& o, const api::Object* old) const override {
    warnName(c, o, old);
    warnJobSpec(c, o, old, o.as<batch::Job>().spec, Path("spec"));
  }
  void prepareForCreate(const Context& c, api::Object& o) const override {
    Strategy::prepareForCreate(c, o);
    auto& j = o.as<batch::Job>();
    dropGatedPodFields(j.spec.template_.spec, nullptr);
    if (j.spec.manualSelector.value_or(false)) return;
    // The job's own uid tells its pods from all others.
    auto& labels = j.spec.template_.metadata.labels;
    auto put = [&](std::string_view key, const codec::String& value) {
      if (!labels.contains(key)) labels[key] = value;
    };
    put(kOldJobName, j.metadata.name);
    put(kJobName, j.metadata.name);
    put(kOldControllerUid, j.metadata.uid);
    put(kControllerUid, j.metadata.uid);
    auto& match = j.spec.selector.ensure().matchLabels;
    if (!match.contains(kControllerUid)) match[kControllerUid] = j.metadata.uid;
  }
  void validateCreate(const Context&, const api::Object& o, FieldErrors& errors) const override {
    const auto& j = o.as<batch::Job>();
    validateGenerated(j, errors);
    validateWholeSpec(j.spec, errors);
    if (isIndexed(j.spec) && j.spec.completions.value_or(0) > 0) {
      std::string last = fmt::format("{}-{}", j.metadata.name, *j.spec.completions - 1);
      if (!api::isDns1123Label(last).empty()) {
        errors.invalid(Path("metadata.name"), j.metadata.name.view(),
                       fmt::format("will not able to create pod with invalid DNS label: {}", last));
      }
    }
  }
  void validateUpdate(const Context&, const api::Object& o, const api::Object& old, FieldErrors& errors) const override {
    const auto& s = o.as<batch::Job>().spec;
    const auto& was = old.as<batch::Job>().spec;
    Path p("spec");
    validateWholeSpec(s, errors);
    if (!(s.completions == was.completions)) {
      if (!isIndexed(s)) {
        errors.invalid(p.child("completions"), optional(s.completions), kImmutable);
      } else if (s.completions && s.completions != s.parallelism) {
        errors.invalid(p.child("completions"), *s.completions, "can only be modified in tandem with spec.parallelism");
      }
    }
    immutable(s.selector == was.selector, p.child("selector"), selectorValue(s.selector), errors);
    validateTemplateUpdate(o.as<batch::Job>(), old.as<batch::Job>(), errors);
    immutable(s.completionMode == was.completionMode, p.child("completionMode"), optional(s.completionMode), errors);
    immutable(s.podFailurePolicy == was.podFailurePolicy, p.child("podFailurePolicy"), optional(s.podFailurePolicy), errors);
    immutable(s.backoffLimitPerIndex == was.backoffLimitPerIndex, p.child("backoffLimitPerIndex"), optional(s.backoffLimitPerIndex), errors);
    immutable(s.managedBy == was.managedBy, p.child("managedBy"), optional(s.managedBy), errors);
    immutable(s.successPolicy == was.successPolicy, p.child("successPolicy"), optional(s.successPolicy), errors);
  }
  void validateStatusUpdate(const Context&, const api::Object& o, const api::Object&, FieldErrors& errors) const override {
    const auto& s = o.as<batch::Job>().status;
    nonNegative(s.active, Path("status.active"), errors);
    nonNegative(s.succeeded, Path("status.succeeded"), errors);
    nonNegative(s.failed, Path("status.failed"), errors);
    if (s.ready) nonNegative(*s.ready, Path("status.ready"), errors);
  }
  GarbageCollection defaultGarbageCollection() const override { return GarbageCollection::kOrphan; }
  std::vector<std::string> cells(const api::Resource&, const api::Object& o, WallTime now) const override {
    const auto& j = o.as<batch::Job>();
    std::string completions;
    if (j.spec.completions) {
      completions = fmt::format("{}/{}", j.status.succeeded, *j.spec.completions);
    } else {
      int32_t parallel = j.spec.parallelism.value_or(0);
      completions = fmt::format("{}/1", j.status.succeeded) + (parallel > 1 ? fmt::format(" of {}", parallel) : "");
    }
    std::string took;
    if (j.status.startTime) {
      WallTime end = now;
      if (j.status.completionTime) end.seconds = j.status.completionTime->seconds;
      took = age(*j.status.startTime, end);
    }
    return {textCell(o.name()), textCell(statusText(j)), textCell(completions), textCell(took), ageCell(o, now),
            textCell(containerNames(j.spec.template_.spec)), textCell(containerImages(j.spec.template_.spec)),
            textCell(selectorText(j.spec.selector))};
  }

 private:
  static void validateGenerated(const batch::Job& j, FieldErrors& errors) {
    if (j.spec.manualSelector.value_or(false) || !j.spec.selector) return;
    if (j.metadata.uid.empty()) errors.required(Path("metadata.uid"), "");
    std::pair<std::string_view, std::string_view> expected[] = {{kOldControllerUid, j.metadata.uid}, {kOldJobName, j.metadata.name},
                                                                {kControllerUid, j.metadata.uid},    {kJobName, j.metadata.name}};
    const auto& labels = j.spec.template_.metadata.labels;
    for (auto [key, value] : expected) {
      Path at = Path("spec.template.metadata.labels").key(key);
      const codec::String* have = labels.find(key);
      if (have == nullptr) {
        errors.required(at, fmt::format("must be '{}'", value));
      } else if (!(*have == value)) {
        errors.invalid(Path("spec.template.metadata.labels"), labelsValue(labels), fmt::format("must be '{}'", value));
      }
    }
    if (j.spec.selector->matchLabels.size() != 1 || !j.spec.selector->matchExpressions.empty() ||
        !(j.spec.selector->matchLabels.get(kControllerUid) == j.metadata.uid)) {
      errors.invalid(Path("spec.selector"), selectorValue(j.spec.selector), "`selector` not auto-generated");
    }
  }

  // Where the pods will run may change while a job that never started is suspended.
  static void validateTemplateUpdate(const batch::Job& now, const batch::Job& was, FieldErrors& errors) {
    api::core_v1::PodTemplateSpec t = was.spec.template_;
    const auto& n = now.spec.template_;
    if (was.spec.suspend.value_or(false) && !was.status.startTime) {
      t.metadata.labels = n.metadata.labels;
      t.metadata.annotations = n.metadata.annotations;
      t.spec.nodeSelector = n.spec.nodeSelector;
      t.spec.tolerations = n.spec.tolerations;
      t.spec.schedulingGates = n.spec.schedulingGates;
      codec::Box<api::core_v1::NodeAffinity> node;
      if (n.spec.affinity) node = n.spec.affinity->nodeAffinity;
      if (t.spec.affinity || node) t.spec.affinity.ensure().nodeAffinity = node;
      if (t.spec.affinity && !n.spec.affinity && !t.spec.affinity->podAffinity && !t.spec.affinity->podAntiAffinity) t.spec.affinity.reset();
    }
    immutable(codec::equal(&n, &t, api::core_v1::PodTemplateSpec::kType), Path("spec.template"), structValue(n), errors);
  }
};

bool knownTimeZone(std::string_view zone) {
  std::error_code error;
  return std::filesystem::is_regular_file(std::filesystem::path("/usr/share/zoneinfo") / zone, error) || zone == "UTC" || zone == "Etc/UTC";
}

void validateTimeZone(const std::optional<codec::String>& zone, const Path& p, FieldErrors& errors) {
  if (!zone) return;
  if (zone->empty()) return errors.invalid(p, "", "timeZone must be nil or non-empty string");
  for (std::string_view part : split(*zone, '/')) {
    bool fine = !part.empty() && part != "." && part != ".." && part[0] != '-' && part.size() <= 14 &&
                std::all_of(part.begin(), part.end(), [](char c) {
                  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || std::string_view("._+-").find(c) != std::string_view::npos;
                });
    if (!fine) return errors.invalid(p, zone->view(), fmt::format("unknown time zone {}", *zone));
  }
  if (equalFold(*zone, "Local")) {
    errors.invalid(p, zone->view(), "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones");
  }
  if (!knownTimeZone(*zone) && !equalFold(*zone, "Local")) errors.invalid(p, zone->view(), fmt::format("unknown time zone {}", *zone));
}

class CronJobStrategy : public Strategy {
 public:
  void warnings(const Context& c, const api::Object& o, const api::Object* old) const override {
    const auto& s = o.as<batch::CronJob>().spec;
    warnName(c, o, old);
    warnJobSpec(c, o, old, s.jobTemplate.spec, Path("spec.jobTemplate.spec"));
    if (old != nullptr && c.subresource.empty() && contains(s.schedule, "TZ")) {
      c.warn("cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, see "
             "https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details");
    }
  }
  void prepareForCreate(const Context& c, api::Object& o) const override {
    Strategy::prepareForCreate(c, o);
    dropGatedPodFields(o.as<batch::CronJob>().spec.jobTemplate.spec.template_.spec, nullptr);
  }
  void validateCreate(const Context&, const api::Object& o, FieldErrors& errors) const override {
    validateSpec(o.as<batch::CronJob>().spec, nullptr, errors);
    if (o.name().size() > 52) errors.invalid(Path("metadata.name"), o.name(), "must be no more than 52 characters");
  }
  void validateUpdate(const Context&, const api::Object& o, const api::Object& old, FieldErrors& errors) const override {
    validateSpec(o.as<batch::CronJob>().spec, &old.as<batch::CronJob>().spec, errors);
  }
  std::vector<std::string> cells(const api::Resource&, const api::Object& o, WallTime now) const override {
    const auto& j = o.as<batch::CronJob>();
    const auto& t = j.spec.jobTemplate.spec;
    return {textCell(o.name()),
            textCell(j.spec.schedule),
            textCell(j.spec.timeZone ? j.spec.timeZone->view() : "<none>"),
            textCell(j.spec.suspend ? (*j.spec.suspend ? "True" : "False") : "<unset>"),
            numberCell(static_cast<int64_t>(j.status.active.size())),
            textCell(j.status.lastScheduleTime ? age(*j.status.lastScheduleTime, now) : "<none>"),
            ageCell(o, now),
            textCell(containerNames(t.template_.spec)),
            textCell(containerImages(t.template_.spec)),
            textCell(selectorText(t.selector))};
  }

 private:
  static void validateSpec(const batch::CronJobSpec& s, const batch::CronJobSpec* old, FieldErrors& errors) {
    Path p("spec");
    Path schedule = p.child("schedule");
    if (s.schedule.empty()) {
      errors.required(schedule, "");
    } else {
      std::string bad = cronScheduleError(s.schedule);
      if (!bad.empty()) errors.invalid(schedule, s.schedule.view(), bad);
      bool zoned = contains(s.schedule, "TZ");
      bool allowed = old != nullptr && contains(old->schedule, "TZ");
      if (zoned && allowed && s.timeZone) {
        errors.invalid(schedule, s.schedule.view(), "cannot use both timeZone field and TZ or CRON_TZ in schedule");
      } else if (zoned && !allowed) {
        errors.invalid(schedule, s.schedule.view(), "cannot use TZ or CRON_TZ in schedule, use timeZone field instead");
      }
    }
    if (s.startingDeadlineSeconds) nonNegative(*s.startingDeadlineSeconds, p.child("startingDeadlineSeconds"), errors);
    if (old == nullptr || !(old->timeZone == s.timeZone)) validateTimeZone(s.timeZone, p.child("timeZone"), errors);
    oneOf(s.concurrencyPolicy, {"Allow", "Forbid", "Replace"}, p.child("concurrencyPolicy"), errors);
    Path t = p.child("jobTemplate").child("spec");
    validateJobSpec(s.jobTemplate.spec, t, errors);
    if (s.jobTemplate.spec.selector) {
      errors.invalid(t.child("selector"), selectorValue(s.jobTemplate.spec.selector), "`selector` will be auto-generated");
    }
    if (s.jobTemplate.spec.manualSelector.value_or(false)) errors.notSupported(t.child("manualSelector"), true, {"nil", "false"});
    if (s.successfulJobsHistoryLimit) nonNegative(*s.successfulJobsHistoryLimit, p.child("successfulJobsHistoryLimit"), errors);
    if (s.failedJobsHistoryLimit) nonNegative(*s.failedJobsHistoryLimit, p.child("failedJobsHistoryLimit"), errors);
  }
};

}  // namespace

std::unique_ptr<Strategy> makeJob() { return std::make_unique<JobStrategy>(); }
std::unique_ptr<Strategy> makeCronJob() { return std::make_unique<CronJobStrategy>(); }

}  // namespace km::registry
