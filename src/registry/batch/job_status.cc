// What an update of a job's status may say. Jobs can be run by others than our controller (spec.managedBy), so transitions are checked;
// but each rule only where the update changes what it looks at, so that a status already wrong can still be worked on.
#include <fmt/format.h>

#include <set>

#include "api/types/batch_v1.h"
#include "api/types/meta_v1.h"
#include "registry/batch/job_indexes.h"
#include "registry/batch/job_validation.h"

namespace km::registry {

namespace batch = api::batch_v1;

namespace {

const BadValue kNoValue = BadValue::raw("");

bool is(const batch::Job& j, std::string_view type) {
  for (const auto& c : j.status.conditions) {
    if (c.type == type && c.status == "True") return true;
  }
  return false;
}

bool finished(const batch::Job& j) { return is(j, "Complete") || is(j, "Failed"); }

template <typename T>
BadValue timeValue(const T& t) {
  return t ? BadValue::raw("\"" + t->str() + "\"") : BadValue::raw("null");
}

// What changed from the old job to the new one.
struct Changes {
  bool finished, complete, failed, failureTarget, criteria, completedIndexes, failedIndexes, active, start, completion, uncounted, ready,
      terminating;
  Changes(const batch::Job& n, const batch::Job& o)
      : finished(registry::finished(n) != registry::finished(o)),
        complete(is(n, "Complete") != is(o, "Complete")),
        failed(is(n, "Failed") != is(o, "Failed")),
        failureTarget(is(n, "FailureTarget") != is(o, "FailureTarget")),
        criteria(is(n, "SuccessCriteriaMet") != is(o, "SuccessCriteriaMet")),
        completedIndexes(n.status.completedIndexes != o.status.completedIndexes),
        failedIndexes(n.status.failedIndexes != o.status.failedIndexes),
        active(n.status.active != o.status.active),
        start(n.status.startTime != o.status.startTime),
        completion(n.status.completionTime != o.status.completionTime),
        uncounted(!(n.status.uncountedTerminatedPods == o.status.uncountedTerminatedPods)),
        ready(n.status.ready != o.status.ready),
        terminating(n.status.terminating != o.status.terminating) {}
};

void validateCounters(const batch::JobStatus& s, const Path& p, FieldErrors& errors) {
  nonNegative(s.active, p.child("active"), errors);
  nonNegative(s.succeeded, p.child("succeeded"), errors);
  nonNegative(s.failed, p.child("failed"), errors);
  if (s.ready) nonNegative(*s.ready, p.child("ready"), errors);
  if (s.terminating) nonNegative(*s.terminating, p.child("terminating"), errors);
  if (!s.uncountedTerminatedPods) return;
  std::set<std::string_view> seen;
  auto uids = [&](const auto& list, const Path& at) {
    for (size_t i = 0; i < list.size(); i++) {
      if (list[i].empty()) {
        errors.invalid(at.index(i), "", "must not be empty");
      } else if (!seen.insert(list[i].view()).second) {
        errors.duplicate(at.index(i), list[i].view());
      }
    }
  };
  Path at = p.child("uncountedTerminatedPods");
  uids(s.uncountedTerminatedPods->succeeded, at.child("succeeded"));
  uids(s.uncountedTerminatedPods->failed, at.child("failed"));
}

void validateEnd(const batch::Job& j, const Changes& c, const Path& p, FieldErrors& errors) {
  const auto& s = j.status;
  Path conditions = p.child("conditions"), completion = p.child("completionTime");
  bool complete = is(j, "Complete"), failed = is(j, "Failed");
  if ((c.complete || c.failed) && complete && failed) {
    errors.invalid(conditions, kNoValue, "cannot set Complete=True and Failed=true conditions");
  }
  if ((c.complete || c.failureTarget) && complete && is(j, "FailureTarget")) {
    errors.invalid(conditions, kNoValue, "cannot set Complete=True and FailureTarget=true conditions");
  }
  if (c.complete || c.completion) {
    if (s.completionTime && !complete) {
      errors.invalid(completion, timeValue(s.completionTime), "cannot set completionTime when there is no Complete=True condition");
    }
    if (!s.completionTime && complete) errors.required(completion, "completionTime is required for Complete jobs");
  }
  if ((c.start || c.completion) && s.startTime && s.completionTime && s.completionTime->seconds < s.startTime->seconds) {
    errors.invalid(completion, timeValue(s.completionTime), "must be equal to or after `startTime`");
  }
  if ((c.failed || c.failedIndexes) && failed && !is(j, "FailureTarget")) {
    errors.invalid(conditions, kNoValue, "cannot set Failed=True condition without the FailureTarget=true condition");
  }
  if ((c.complete || c.criteria) && complete && !is(j, "SuccessCriteriaMet")) {
    errors.invalid(conditions, kNoValue, "cannot set Complete=True condition without the SuccessCriteriaMet=true condition");
  }
  if (!finished(j)) return;
  if ((c.finished || c.active) && s.active > 0) errors.invalid(p.child("active"), s.active, "active>0 is invalid for finished job");
  bool nothingToDo = j.spec.suspend.value_or(false) && j.spec.completions == 0;
  if ((c.finished || c.start) && !nothingToDo && !s.startTime) errors.required(p.child("startTime"), "startTime is required for finished job");
  const auto& uncounted = s.uncountedTerminatedPods;
  if ((c.finished || c.uncounted) && uncounted && uncounted->failed.size() + uncounted->succeeded.size() > 0) {
    errors.invalid(p.child("uncountedTerminatedPods"), structValue(*uncounted), "must be empty for finished job");
  }
}

void validateIndexes(const batch::Job& j, const Changes& c, const Path& p, FieldErrors& errors) {
  const auto& s = j.status;
  Path completed = p.child("completedIndexes"), failed = p.child("failedIndexes");
  auto format = [&](std::string_view text, const Path& at, std::string_view name) {
    auto counted = countIndexes(text, *j.spec.completions);
    if (!counted.ok()) errors.invalid(at, text, fmt::format("error parsing {}: {}", name, counted.status().message()));
  };
  bool perIndex = j.spec.backoffLimitPerIndex.has_value();
  if (c.completedIndexes && j.spec.completions) format(s.completedIndexes, completed, "completedIndexes");
  if (c.failedIndexes && j.spec.completions && perIndex && s.failedIndexes) format(*s.failedIndexes, failed, "failedIndexes");
  if (c.completedIndexes && !s.completedIndexes.empty() && !isIndexed(j.spec)) {
    errors.invalid(completed, s.completedIndexes.view(), "cannot set non-empty completedIndexes when non-indexed completion mode");
  }
  if (c.failedIndexes && !perIndex && s.failedIndexes) {
    errors.invalid(failed, s.failedIndexes->view(), "cannot set non-null failedIndexes when backoffLimitPerIndex is null");
  }
  if ((c.failedIndexes || c.completedIndexes) && j.spec.completions && s.failedIndexes) {
    if (auto both = commonIndex(s.completedIndexes, *s.failedIndexes, *j.spec.completions)) {
      errors.invalid(failed, s.failedIndexes->view(), fmt::format("failedIndexes and completedIndexes overlap at index: {}", *both));
    }
  }
}

void validateRest(const batch::Job& j, const Changes& c, const Path& p, FieldErrors& errors) {
  const auto& s = j.status;
  Path conditions = p.child("conditions");
  if ((c.finished || c.terminating) && s.terminating.value_or(0) > 0 && finished(j)) {
    errors.invalid(p.child("terminating"), *s.terminating, "terminating>0 is invalid for finished job");
  }
  if ((c.ready || c.active) && s.ready && *s.ready > s.active) {
    errors.invalid(p.child("ready"), *s.ready, "cannot set more ready pods than active");
  }
  bool met = is(j, "SuccessCriteriaMet");
  if (met && is(j, "Failed")) errors.invalid(conditions, kNoValue, "cannot set SuccessCriteriaMet=True and Failed=true conditions");
  if (met && is(j, "FailureTarget")) {
    errors.invalid(conditions, kNoValue, "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions");
  }
  if (j.spec.successPolicy && !met && is(j, "Complete")) {
    errors.invalid(conditions, kNoValue, "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True");
  }
}

void validateTransitions(const batch::Job& j, const batch::Job& old, const Path& p, FieldErrors& errors) {
  const auto &s = j.status, &was = old.status;
  Path conditions = p.child("conditions");
  for (std::string_view type : {"Failed", "Complete", "FailureTarget"}) {
    if (is(old, type) && !is(j, type)) {
      errors.invalid(conditions, kNoValue, fmt::format("cannot disable the terminal {}=True condition", type));
    }
  }
  if (s.failed < was.failed) errors.invalid(p.child("failed"), s.failed, "cannot decrease the failed counter");
  // Indexed jobs with as many pods as completions can be scaled down.
  bool elastic = isIndexed(j.spec) && j.spec.completions == j.spec.parallelism;
  if (!elastic && s.succeeded < was.succeeded) errors.invalid(p.child("succeeded"), s.succeeded, "cannot decrease the succeeded counter");
  if (s.completionTime && was.completionTime && s.completionTime != was.completionTime) {
    errors.invalid(p.child("completionTime"), timeValue(s.completionTime), kImmutable);
  }
  bool resuming = is(old, "Suspended") && jobCondition(j, "Suspended") == "False";
  if (was.startTime && was.startTime != s.startTime && !resuming && !j.spec.suspend.value_or(false)) {
    errors.invalid(p.child("startTime"), timeValue(s.startTime), "field is immutable for unsuspended job once set");
  }
  if (is(old, "SuccessCriteriaMet") && !is(j, "SuccessCriteriaMet")) {
    errors.invalid(conditions, kNoValue, "cannot disable the SuccessCriteriaMet=True condition");
  }
  if (is(old, "Complete") && !is(old, "SuccessCriteriaMet") && is(j, "SuccessCriteriaMet")) {
    errors.invalid(conditions, kNoValue, "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions");
  }
}

}  // namespace

void validateJobStatusUpdate(const batch::Job& j, const batch::Job& old, FieldErrors& errors) {
  Path p("status");
  Changes changes(j, old);
  validateCounters(j.status, p, errors);
  validateEnd(j, changes, p, errors);
  validateIndexes(j, changes, p, errors);
  validateRest(j, changes, p, errors);
  validateTransitions(j, old, p, errors);
}

}  // namespace km::registry
