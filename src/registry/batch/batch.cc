// Jobs and CronJobs.
#include <fmt/format.h>

#include <algorithm>
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
#include "registry/batch/job_validation.h"
#include "registry/workload_rules.h"

namespace km::registry {
namespace {

namespace batch = api::batch_v1;


void putLabel(codec::Map<codec::String>& labels, std::string_view key, const codec::String& value) {
  if (!labels.contains(key)) labels[key] = value;
}

std::string statusText(const batch::Job& j) {
  if (jobCondition(j, "Complete") == "True") return "Complete";
  if (jobCondition(j, "Failed") == "True") return "Failed";
  if (j.metadata.deletionTimestamp) return "Terminating";
  for (std::string_view t : {"Suspended", "FailureTarget", "SuccessCriteriaMet"}) {
    if (jobCondition(j, t) == "True") return std::string(t);
  }
  return "Running";
}

void warnJobSpec(const Context& c, const api::Object& o, const api::Object* old, const batch::JobSpec& s, const Path& p) {
  if (c.subresource == "status" || (old != nullptr && o.meta().generation == old->meta().generation)) return;
  if (isIndexed(s) && s.completions.value_or(0) > 100000 && s.parallelism.value_or(0) > 10000) {
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
    for (std::string_view key : {kOldJobName, kJobName}) putLabel(labels, key, j.metadata.name);
    for (std::string_view key : {kOldControllerUid, kControllerUid}) putLabel(labels, key, j.metadata.uid);
    auto& match = j.spec.selector.ensure().matchLabels;
    if (!match.contains(kControllerUid)) match[kControllerUid] = j.metadata.uid;
  }
  void validateCreate(const Context&, const api::Object& o, FieldErrors& errors) const override {
    validateJob(o.as<batch::Job>(), true, errors);
  }
  void validateUpdate(const Context&, const api::Object& o, const api::Object& old, FieldErrors& errors) const override {
    validateJobUpdate(o.as<batch::Job>(), old.as<batch::Job>(), errors);
  }
  void validateStatusUpdate(const Context&, const api::Object& o, const api::Object& old, FieldErrors& errors) const override {
    validateJobStatusUpdate(o.as<batch::Job>(), old.as<batch::Job>(), errors);
  }
  // A stored job that has no labels is read with those of its pods.
  void canonicalize(api::Object& o) const override {
    auto& j = o.as<batch::Job>();
    if (j.metadata.labels.empty()) j.metadata.labels = j.spec.template_.metadata.labels;
  }
  std::string selectableField(const api::Object& o, std::string_view path) const override {
    if (path == "status.successful") return std::to_string(o.as<batch::Job>().status.succeeded);
    return Strategy::selectableField(o, path);
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
};

void validateTimeZone(const std::optional<codec::String>& zone, const Path& p, FieldErrors& errors) {
  if (!zone) return;
  BadValue shown = BadValue::raw(textCell(*zone));
  if (zone->empty()) return errors.invalid(p, shown, "timeZone must be nil or non-empty string");
  for (std::string_view part : split(*zone, '/')) {
    bool fine = !part.empty() && part != "." && part != ".." && part[0] != '-' && part.size() <= 14 &&
                std::all_of(part.begin(), part.end(), [](char c) {
                  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || std::string_view("._+-").find(c) != std::string_view::npos;
                });
    if (!fine) return errors.invalid(p, shown, fmt::format("unknown time zone {}", *zone));
  }
  if (equalFold(*zone, "Local")) {
    errors.invalid(p, shown, "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones");
  }
  if (!knownTimeZone(*zone) && *zone != "Local") errors.invalid(p, shown, fmt::format("unknown time zone {}", *zone));
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
