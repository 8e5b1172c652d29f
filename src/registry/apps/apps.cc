// Deployments, ReplicaSets, StatefulSets, DaemonSets, ControllerRevisions.
#include <fmt/format.h>

#include "api/selector.h"
#include "api/types/apps_v1.h"
#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"
#include "base/strings.h"
#include "codec/json.h"
#include "codec/ops.h"
#include "registry/cells.h"
#include "registry/core/claim_validation.h"
#include "registry/core/pod_columns.h"
#include "registry/core/pod_prepare.h"
#include "registry/core/pod_warnings.h"
#include "registry/kinds.h"
#include "registry/workload_rules.h"

namespace km::registry {
namespace {

namespace apps = api::apps_v1;

// Status fields that count pods, none of which may be negative.
template <typename Status>
void nonNegativeCounts(const Status& s, std::initializer_list<std::pair<std::string_view, int64_t>> fields, FieldErrors& errors) {
  Path p("status");
  for (auto [name, value] : fields) nonNegative(value, p.child(name), errors);
}

void noMoreThan(int32_t value, int32_t most, std::string_view field, std::string_view why, FieldErrors& errors) {
  if (value > most) errors.invalid(Path("status").child(field), value, why);
}

void notDecremented(const std::optional<int32_t>& now, const std::optional<int32_t>& was, FieldErrors& errors) {
  if (was && (!now || *now < *was)) {
    errors.invalid(Path("status.collisionCount"), now.value_or(0), "cannot be decremented");
  }
}

template <typename T>
class WorkloadStrategy : public Strategy {
 public:
  void prepareForCreate(const Context& c, api::Object& o) const override {
    Strategy::prepareForCreate(c, o);
    dropGatedPodFields(o.as<T>().spec.template_.spec, nullptr);
  }
  void prepareForUpdate(const Context& c, api::Object& o, const api::Object& old) const override {
    if (c.subresource != "status") dropGatedPodFields(o.as<T>().spec.template_.spec, &old.as<T>().spec.template_.spec);
    Strategy::prepareForUpdate(c, o, old);
  }
  void validateUpdate(const Context& c, const api::Object& o, const api::Object& old, FieldErrors& errors) const override {
    this->validateCreate(c, o, errors);
    const auto& now = o.as<T>().spec.selector;
    immutable(now == old.as<T>().spec.selector, Path("spec.selector"), selectorValue(now), errors);
  }
  void warnings(const Context& c, const api::Object& o, const api::Object* old) const override {
    if constexpr (std::is_same_v<T, apps::Deployment> || std::is_same_v<T, apps::ReplicaSet>) warnName(c, o, old);
    warnTemplate(c, o, old, o.as<T>().spec.template_, Path("spec.template"));
  }

 protected:
  static std::string names(const api::Object& o) { return textCell(containerNames(o.as<T>().spec.template_.spec)); }
  static std::string images(const api::Object& o) { return textCell(containerImages(o.as<T>().spec.template_.spec)); }
};

// Fields of upstream's internal types that are annotations in v1.
constexpr std::string_view kRollback = "deprecated.deployment.rollback.to";
constexpr std::string_view kTemplateGeneration = "deprecated.daemonset.template.generation";

// What Go's ParseInt says of an annotation that must be a number.
Status checkNumber(const api::Object& o, std::string_view key, std::string_view before = "") {
  const codec::String* v = o.meta().annotations.find(key);
  if (v == nullptr || parseInt64(*v)) return {};
  return errors::badRequest(fmt::format("{}strconv.ParseInt: parsing {}: invalid syntax", before, api::goQuote(*v)));
}

class DeploymentStrategy : public WorkloadStrategy<apps::Deployment> {
 public:
  Status checkDecoded(const api::Object& o) const override {
    std::string value = o.meta().annotations.get(kRollback).str();
    if (value.empty()) return {};
    return checkNumber(o, kRollback, fmt::format("failed to parse annotation[{}]={} as int64: ", kRollback, value));
  }
  std::vector<std::string_view> resetFields(std::string_view subresource) const override {
    if (subresource == "status") return {"spec", "metadata.labels"};
    return {"status"};
  }
  void prepareForUpdate(const Context& c, api::Object& o, const api::Object& old) const override {
    WorkloadStrategy::prepareForUpdate(c, o, old);
    if (c.subresource == "status") {
      o.meta().labels = old.meta().labels;
    } else if (!(o.meta().annotations == old.meta().annotations)) {
      // Annotations count too: they are copied to the ReplicaSets.
      o.meta().generation = old.meta().generation + 1;
    }
  }
  void validateCreate(const Context&, const api::Object& o, FieldErrors& errors) const override {
    const auto& s = o.as<apps::Deployment>().spec;
    Path p("spec");
    nonNegative(s.replicas.value_or(0), p.child("replicas"), errors);
    validateWorkloadSelector(s.selector, "deployment", errors);
    validateRunningTemplate(s.template_, s.selector, "ReplicaSet", errors);
    validateStrategy(s.strategy, p.child("strategy"), errors);
    nonNegative(s.minReadySeconds, p.child("minReadySeconds"), errors);
    if (s.revisionHistoryLimit) nonNegative(*s.revisionHistoryLimit, p.child("revisionHistoryLimit"), errors);
    if (auto n = parseInt64(o.meta().annotations.get(kRollback))) nonNegative(*n, p.child("rollback.version"), errors);
    if (s.progressDeadlineSeconds) {
      nonNegative(*s.progressDeadlineSeconds, p.child("progressDeadlineSeconds"), errors);
      if (*s.progressDeadlineSeconds <= s.minReadySeconds) {
        errors.invalid(p.child("progressDeadlineSeconds"), *s.progressDeadlineSeconds, "must be greater than minReadySeconds");
      }
    }
  }
  void validateStatusUpdate(const Context&, const api::Object& o, const api::Object& old, FieldErrors& errors) const override {
    const auto& s = o.as<apps::Deployment>().status;
    nonNegativeCounts(s, {{"observedGeneration", s.observedGeneration}, {"replicas", s.replicas}, {"updatedReplicas", s.updatedReplicas},
                          {"readyReplicas", s.readyReplicas}, {"availableReplicas", s.availableReplicas},
                          {"unavailableReplicas", s.unavailableReplicas}}, errors);
    if (s.terminatingReplicas) nonNegative(*s.terminatingReplicas, Path("status.terminatingReplicas"), errors);
    if (s.collisionCount) nonNegative(*s.collisionCount, Path("status.collisionCount"), errors);
    constexpr std::string_view kMore = "cannot be greater than status.replicas";
    noMoreThan(s.updatedReplicas, s.replicas, "updatedReplicas", kMore, errors);
    noMoreThan(s.readyReplicas, s.replicas, "readyReplicas", kMore, errors);
    noMoreThan(s.availableReplicas, s.replicas, "availableReplicas", kMore, errors);
    noMoreThan(s.availableReplicas, s.readyReplicas, "availableReplicas", "cannot be greater than readyReplicas", errors);
    notDecremented(s.collisionCount, old.as<apps::Deployment>().status.collisionCount, errors);
  }
  std::vector<std::string> cells(const api::Resource&, const api::Object& o, WallTime now) const override {
    const auto& d = o.as<apps::Deployment>();
    std::string selector = selectorText(d.spec.selector);
    return {textCell(o.name()), textCell(fmt::format("{}/{}", d.status.readyReplicas, d.spec.replicas.value_or(0))),
            numberCell(d.status.updatedReplicas), numberCell(d.status.availableReplicas), ageCell(o, now), names(o), images(o),
            textCell(selector == "<none>" ? "" : selector)};
  }

 private:
  static void validateStrategy(const apps::DeploymentStrategy& s, const Path& p, FieldErrors& errors) {
    Path rolling = p.child("rollingUpdate");
    if (s.type == "Recreate") {
      if (s.rollingUpdate) errors.forbidden(rolling, "may not be specified when strategy `type` is 'Recreate'");
    } else if (s.type == "RollingUpdate") {
      if (!s.rollingUpdate) return errors.required(rolling, "this should be defaulted and never be nil");
      codec::IntOrString none;
      const auto& down = s.rollingUpdate->maxUnavailable ? *s.rollingUpdate->maxUnavailable : none;
      const auto& up = s.rollingUpdate->maxSurge ? *s.rollingUpdate->maxSurge : none;
      validateIntOrPercent(down, rolling.child("maxUnavailable"), errors);
      validateIntOrPercent(up, rolling.child("maxSurge"), errors);
      if (intOrPercent(down) == 0 && intOrPercent(up) == 0) {
        errors.invalid(rolling.child("maxUnavailable"), intOrStringValue(down), "may not be 0 when `maxSurge` is 0");
      }
      notMoreThan100Percent(down, rolling.child("maxUnavailable"), errors);
    } else {
      errors.notSupported(p, structValue(s), {"Recreate", "RollingUpdate"});
    }
  }
};

class ReplicaSetStrategy : public WorkloadStrategy<apps::ReplicaSet> {
 public:
  void validateCreate(const Context&, const api::Object& o, FieldErrors& errors) const override {
    const auto& s = o.as<apps::ReplicaSet>().spec;
    nonNegative(s.replicas.value_or(0), Path("spec.replicas"), errors);
    nonNegative(s.minReadySeconds, Path("spec.minReadySeconds"), errors);
    validateWorkloadSelector(s.selector, "deployment", errors);
    validateRunningTemplate(s.template_, s.selector, "ReplicaSet", errors);
  }
  void validateStatusUpdate(const Context&, const api::Object& o, const api::Object&, FieldErrors& errors) const override {
    const auto& s = o.as<apps::ReplicaSet>().status;
    nonNegativeCounts(s, {{"replicas", s.replicas}, {"fullyLabeledReplicas", s.fullyLabeledReplicas}, {"readyReplicas", s.readyReplicas},
                          {"availableReplicas", s.availableReplicas}, {"observedGeneration", s.observedGeneration}}, errors);
    if (s.terminatingReplicas) nonNegative(*s.terminatingReplicas, Path("status.terminatingReplicas"), errors);
    constexpr std::string_view kMore = "cannot be greater than status.replicas";
    noMoreThan(s.fullyLabeledReplicas, s.replicas, "fullyLabeledReplicas", kMore, errors);
    noMoreThan(s.readyReplicas, s.replicas, "readyReplicas", kMore, errors);
    noMoreThan(s.availableReplicas, s.replicas, "availableReplicas", kMore, errors);
    noMoreThan(s.availableReplicas, s.readyReplicas, "availableReplicas", "cannot be greater than readyReplicas", errors);
  }
  std::vector<std::string> cells(const api::Resource&, const api::Object& o, WallTime now) const override {
    const auto& r = o.as<apps::ReplicaSet>();
    return {textCell(o.name()), numberCell(r.spec.replicas.value_or(0)), numberCell(r.status.replicas),
            numberCell(r.status.readyReplicas), ageCell(o, now), names(o), images(o), textCell(selectorText(r.spec.selector))};
  }
};

class StatefulSetStrategy : public WorkloadStrategy<apps::StatefulSet> {
 public:
  void validateCreate(const Context&, const api::Object& o, FieldErrors& errors) const override {
    validateSpec(o.as<apps::StatefulSet>().spec, true, errors);
  }
  void validateUpdate(const Context&, const api::Object& o, const api::Object& old, FieldErrors& errors) const override {
    const auto& now = o.as<apps::StatefulSet>().spec;
    const auto& was = old.as<apps::StatefulSet>().spec;
    validateSpec(now, false, errors);
    apps::StatefulSetSpec rest = now;
    rest.replicas = was.replicas;
    rest.template_ = was.template_;
    rest.updateStrategy = was.updateStrategy;
    rest.minReadySeconds = was.minReadySeconds;
    rest.ordinals = was.ordinals;
    rest.revisionHistoryLimit = was.revisionHistoryLimit;
    rest.persistentVolumeClaimRetentionPolicy = was.persistentVolumeClaimRetentionPolicy;
    if (!codec::equal(&rest, &was, apps::StatefulSetSpec::kType)) {
      errors.forbidden(Path("spec"),
                       "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
                       "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden");
    }
  }
  void validateStatusUpdate(const Context&, const api::Object& o, const api::Object& old, FieldErrors& errors) const override {
    const auto& s = o.as<apps::StatefulSet>().status;
    nonNegativeCounts(s, {{"replicas", s.replicas}, {"readyReplicas", s.readyReplicas}, {"currentReplicas", s.currentReplicas},
                          {"updatedReplicas", s.updatedReplicas}, {"availableReplicas", s.availableReplicas}}, errors);
    if (s.observedGeneration < 0) nonNegative(s.observedGeneration, Path("status.observedGeneration"), errors);
    if (s.collisionCount) nonNegative(*s.collisionCount, Path("status.collisionCount"), errors);
    constexpr std::string_view kMore = "cannot be greater than status.replicas";
    noMoreThan(s.readyReplicas, s.replicas, "readyReplicas", kMore, errors);
    noMoreThan(s.currentReplicas, s.replicas, "currentReplicas", kMore, errors);
    noMoreThan(s.updatedReplicas, s.replicas, "updatedReplicas", kMore, errors);
    noMoreThan(s.availableReplicas, s.replicas, "availableReplicas", kMore, errors);
    noMoreThan(s.availableReplicas, s.readyReplicas, "availableReplicas", "cannot be greater than status.readyReplicas", errors);
    notDecremented(s.collisionCount, old.as<apps::StatefulSet>().status.collisionCount, errors);
  }
  api::Messages validateName(std::string_view name, bool prefix) const override {
    if (prefix && name.ends_with('-')) name.remove_suffix(1);
    return api::isDns1123Label(name);
  }
  void warnings(const Context& c, const api::Object& o, const api::Object* old) const override {
    WorkloadStrategy::warnings(c, o, old);
    if (c.subresource == "status") return;
    const auto& s = o.as<apps::StatefulSet>().spec;
    std::vector<std::string> more;
    for (size_t i = 0; i < s.volumeClaimTemplates.size(); i++) {
      Path p = Path("spec.volumeClaimTemplates").index(i);
      claimSpecWarnings(s.volumeClaimTemplates[i].spec, old != nullptr ? p.child("Spec") : p, more);
    }
    for (std::string& w : more) c.warn(std::move(w));
    if (s.revisionHistoryLimit.value_or(0) < 0) {
      c.warn("spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended");
    }
  }
  std::vector<std::string> cells(const api::Resource&, const api::Object& o, WallTime now) const override {
    const auto& s = o.as<apps::StatefulSet>();
    return {textCell(o.name()), textCell(fmt::format("{}/{}", s.status.readyReplicas, s.spec.replicas.value_or(0))), ageCell(o, now),
            names(o), images(o)};
  }

 private:
  static void validateUpdateStrategy(const apps::StatefulSetUpdateStrategy& u, FieldErrors& errors) {
    Path p("spec.updateStrategy");
    Path rolling = p.child("rollingUpdate");
    if (u.type.empty()) return errors.required(p, "");
    if (u.type == "OnDelete") {
      if (u.rollingUpdate) {
        errors.invalid(rolling, structValue(*u.rollingUpdate), "only allowed for updateStrategy 'RollingUpdate'");
      }
    } else if (u.type == "RollingUpdate") {
      if (!u.rollingUpdate) return;
      nonNegative(u.rollingUpdate->partition.value_or(0), rolling.child("partition"), errors);
      if (!u.rollingUpdate->maxUnavailable) return;
      const auto& most = *u.rollingUpdate->maxUnavailable;
      validateIntOrPercent(most, rolling.child("maxUnavailable"), errors);
      if (intOrPercent(most) == 0) errors.invalid(rolling.child("maxUnavailable"), intOrStringValue(most), "cannot be 0");
      notMoreThan100Percent(most, rolling.child("maxUnavailable"), errors);
    } else {
      errors.invalid(p, structValue(u), "must be 'RollingUpdate' or 'OnDelete'");
    }
  }

  static void validateSpec(const apps::StatefulSetSpec& s, bool isNew, FieldErrors& errors) {
    Path p("spec");
    if (s.podManagementPolicy.empty()) {
      errors.required(p.child("podManagementPolicy"), "");
    } else if (!isIn(s.podManagementPolicy, {"OrderedReady", "Parallel"})) {
      errors.invalid(p.child("podManagementPolicy"), s.podManagementPolicy.view(), "must be 'OrderedReady' or 'Parallel'");
    }
    validateUpdateStrategy(s.updateStrategy, errors);
    if (s.persistentVolumeClaimRetentionPolicy) {
      Path keep = p.child("persistentVolumeClaimRetentionPolicy");
      auto check = [&](const codec::String& v, std::string_view field) {
        if (!isIn(v, {"Retain", "Delete"})) errors.notSupported(keep.child(field), v.view(), {"Retain", "Delete"});
      };
      check(s.persistentVolumeClaimRetentionPolicy->whenDeleted, "whenDeleted");
      check(s.persistentVolumeClaimRetentionPolicy->whenScaled, "whenScaled");
    }
    for (size_t i = 0; isNew && i < s.volumeClaimTemplates.size(); i++) {
      validateClaimSpec(s.volumeClaimTemplates[i].spec, p.child("volumeClaimTemplates").index(i).child("spec"), errors);
    }
    nonNegative(s.replicas.value_or(0), p.child("replicas"), errors);
    nonNegative(s.minReadySeconds, p.child("minReadySeconds"), errors);
    if (s.ordinals) nonNegative(s.ordinals->start, p.child("ordinals.start"), errors);
    if (isNew && !s.serviceName.empty()) dnsLabel(s.serviceName, p.child("serviceName"), errors);
    validateWorkloadSelector(s.selector, "statefulset", errors);
    // Host name and subdomain are set for each pod; claims of the templates are volumes of every pod.
    api::core_v1::PodTemplateSpec t = s.template_;
    t.spec.subdomain.clear();
    t.spec.hostname.clear();
    codec::List<api::core_v1::Volume> volumes;
    for (const auto& claim : s.volumeClaimTemplates) {
      auto& v = volumes.add();
      v.name = claim.metadata.name;
      v.persistentVolumeClaim.emplace().claimName = claim.metadata.name;
    }
    for (const auto& v : s.template_.spec.volumes) {
      bool replaced = false;
      for (const auto& claim : s.volumeClaimTemplates) replaced = replaced || claim.metadata.name == v.name;
      if (!replaced) volumes.push_back(v);
    }
    t.spec.volumes = std::move(volumes);
    if (s.selector && !api::LabelSelector::from(*s.selector).ok()) {
      return errors.invalid(p.child("selector"), selectorValue(s.selector), "");
    }
    validateRunningTemplate(t, s.selector, "StatefulSet", errors);
  }
};

class DaemonSetStrategy : public WorkloadStrategy<apps::DaemonSet> {
 public:
  // The annotation is always there: 0 until the first write.
  void setDefaults(api::Object& o) const override {
    Strategy::setDefaults(o);
    auto& annotations = o.meta().annotations;
    if (!annotations.contains(kTemplateGeneration)) annotations[kTemplateGeneration] = "0";
  }
  Status checkDecoded(const api::Object& o) const override { return checkNumber(o, kTemplateGeneration); }
  void warnings(const Context& c, const api::Object& o, const api::Object* old) const override {
    bool same = old != nullptr && o.meta().annotations.get(kTemplateGeneration) == old->meta().annotations.get(kTemplateGeneration);
    if (!same) WorkloadStrategy::warnings(c, o, old);
  }
  void prepareForCreate(const Context& c, api::Object& o) const override {
    WorkloadStrategy::prepareForCreate(c, o);
    auto n = parseInt64(o.meta().annotations.get(kTemplateGeneration));
    o.meta().annotations[kTemplateGeneration] = std::to_string(n && *n >= 1 ? *n : 1);
  }
  void prepareForUpdate(const Context& c, api::Object& o, const api::Object& old) const override {
    WorkloadStrategy::prepareForUpdate(c, o, old);
    if (c.subresource == "status") return;
    int64_t n = parseInt64(old.meta().annotations.get(kTemplateGeneration)).value_or(1);
    const auto& now = o.as<apps::DaemonSet>().spec.template_;
    bool same = codec::equal(&now, &old.as<apps::DaemonSet>().spec.template_, api::core_v1::PodTemplateSpec::kType);
    o.meta().annotations[kTemplateGeneration] = std::to_string(same ? n : n + 1);
  }
  void validateCreate(const Context&, const api::Object& o, FieldErrors& errors) const override {
    const auto& s = o.as<apps::DaemonSet>().spec;
    Path p("spec");
    if (s.selector) validateLabelSelector(*s.selector, p.child("selector"), errors);
    // A selector that cannot be read has been refused already.
    bool readable = !s.selector || api::LabelSelector::from(*s.selector).ok();
    if (readable && !matchesSelector(s.selector, s.template_.metadata.labels)) {
      errors.invalid(p.child("template.metadata.labels"), labelsValue(s.template_.metadata.labels),
                     "`selector` does not match template `labels`");
    }
    if (s.selector && isEmptySelector(*s.selector)) {
      errors.invalid(p.child("selector"), selectorValue(s.selector), "empty selector is invalid for daemonset");
    }
    validatePodTemplate(s.template_, p.child("template"), errors);
    if (s.template_.spec.restartPolicy != "Always") {
      errors.notSupported(p.child("template.spec.restartPolicy"), s.template_.spec.restartPolicy.view(), {"Always"});
    }
    if (s.template_.spec.activeDeadlineSeconds) {
      errors.forbidden(p.child("template.spec.activeDeadlineSeconds"), "activeDeadlineSeconds in DaemonSet is not Supported");
    }
    nonNegative(s.minReadySeconds, p.child("minReadySeconds"), errors);
    validateStrategy(s.updateStrategy, p.child("updateStrategy"), errors);
    if (s.revisionHistoryLimit) nonNegative(*s.revisionHistoryLimit, p.child("revisionHistoryLimit"), errors);
  }
  void validateUpdate(const Context& c, const api::Object& o, const api::Object& old, FieldErrors& errors) const override {
    const auto& now = o.as<apps::DaemonSet>().spec.selector;
    immutable(now == old.as<apps::DaemonSet>().spec.selector, Path("spec.selector"), selectorValue(now), errors);
    validateCreate(c, o, errors);
  }
  void validateStatusUpdate(const Context&, const api::Object& o, const api::Object& old, FieldErrors& errors) const override {
    const auto& s = o.as<apps::DaemonSet>().status;
    nonNegativeCounts(s, {{"currentNumberScheduled", s.currentNumberScheduled}, {"numberMisscheduled", s.numberMisscheduled},
                          {"desiredNumberScheduled", s.desiredNumberScheduled}, {"numberReady", s.numberReady},
                          {"observedGeneration", s.observedGeneration}, {"updatedNumberScheduled", s.updatedNumberScheduled},
                          {"numberAvailable", s.numberAvailable}, {"numberUnavailable", s.numberUnavailable}}, errors);
    if (s.collisionCount) nonNegative(*s.collisionCount, Path("status.collisionCount"), errors);
    notDecremented(s.collisionCount, old.as<apps::DaemonSet>().status.collisionCount, errors);
  }
  std::vector<std::string> cells(const api::Resource&, const api::Object& o, WallTime now) const override {
    const auto& d = o.as<apps::DaemonSet>();
    const auto& s = d.status;
    return {textCell(o.name()), numberCell(s.desiredNumberScheduled), numberCell(s.currentNumberScheduled), numberCell(s.numberReady),
            numberCell(s.updatedNumberScheduled), numberCell(s.numberAvailable), textCell(labelsText(d.spec.template_.spec.nodeSelector)),
            ageCell(o, now), names(o), images(o), textCell(selectorText(d.spec.selector))};
  }

 private:
  static void validateStrategy(const apps::DaemonSetUpdateStrategy& u, const Path& p, FieldErrors& errors) {
    if (u.type == "OnDelete") return;
    if (u.type != "RollingUpdate") return errors.notSupported(p, structValue(u), {"RollingUpdate", "OnDelete"});
    Path rolling = p.child("rollingUpdate");
    if (!u.rollingUpdate) return errors.required(rolling, "");
    codec::IntOrString none;
    const auto& down = u.rollingUpdate->maxUnavailable ? *u.rollingUpdate->maxUnavailable : none;
    const auto& up = u.rollingUpdate->maxSurge ? *u.rollingUpdate->maxSurge : none;
    validateIntOrPercent(down, rolling.child("maxUnavailable"), errors);
    validateIntOrPercent(up, rolling.child("maxSurge"), errors);
    notMoreThan100Percent(down, rolling.child("maxUnavailable"), errors);
    notMoreThan100Percent(up, rolling.child("maxSurge"), errors);
    bool hasDown = intOrPercent(down) != 0, hasUp = intOrPercent(up) != 0;
    if (hasDown && hasUp) {
      errors.invalid(rolling.child("maxSurge"), intOrStringValue(up), "may not be set when maxUnavailable is non-zero");
    } else if (!hasDown && !hasUp) {
      errors.required(rolling.child("maxUnavailable"), "cannot be 0 when maxSurge is 0");
    }
  }
};

class ControllerRevisionStrategy : public Strategy {
 public:
  void validateCreate(const Context&, const api::Object& o, FieldErrors& errors) const override {
    const auto& r = o.as<apps::ControllerRevision>();
    nonNegative(r.revision, Path("revision"), errors);
    if (r.data.empty()) {
      errors.required(Path("data"), "data is mandatory");
    } else if (r.data.text.view()[0] != '{') {
      errors.required(Path("data"), "data must be a valid JSON object");
    }
  }
  void validateUpdate(const Context& c, const api::Object& o, const api::Object& old, FieldErrors& errors) const override {
    validateCreate(c, o, errors);
    const auto& data = o.as<apps::ControllerRevision>().data;
    immutable(samePart(o, old, "data"), Path("data"), BadValue::raw(data.empty() ? "null" : data.text.str()), errors);
  }
  std::vector<std::string> cells(const api::Resource&, const api::Object& o, WallTime now) const override {
    std::string owner = "<none>";
    for (const auto& r : o.meta().ownerReferences) {
      if (!r.controller.value_or(false)) continue;
      auto [group, version] = api::splitApiVersion(r.apiVersion);
      owner = fmt::format("{}{}{}/{}", toLower(r.kind), group.empty() ? "" : ".", group, r.name);
    }
    return {textCell(o.name()), textCell(owner), numberCell(o.as<apps::ControllerRevision>().revision), ageCell(o, now)};
  }
};

}  // namespace

std::unique_ptr<Strategy> makeDeployment() { return std::make_unique<DeploymentStrategy>(); }
std::unique_ptr<Strategy> makeReplicaSet() { return std::make_unique<ReplicaSetStrategy>(); }
std::unique_ptr<Strategy> makeStatefulSet() { return std::make_unique<StatefulSetStrategy>(); }
std::unique_ptr<Strategy> makeDaemonSet() { return std::make_unique<DaemonSetStrategy>(); }
std::unique_ptr<Strategy> makeControllerRevision() { return std::make_unique<ControllerRevisionStrategy>(); }

}  // namespace km::registry
