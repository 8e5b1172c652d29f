#include <fmt/format.h>

#include "api/types/autoscaling_v2.h"
#include "api/types/meta_v1.h"
#include "registry/kinds.h"
#include "registry/networking/networking_rules.h"
#include "registry/other_columns.h"
#include "registry/rules.h"

namespace km::registry {

namespace autoscaling = api::autoscaling_v2;

namespace {

constexpr int32_t kMaxPeriod = 1800, kMaxWindow = 3600;

// Which API versions a reference may have.
struct Reference {
  bool anyVersion = false, coreGroup = false;
};

std::string versionError(std::string_view apiVersion, const Reference& r) {
  if (r.anyVersion) return "";
  size_t slash = apiVersion.find('/');
  if (slash != std::string_view::npos && apiVersion.find('/', slash + 1) != std::string_view::npos) {
    return fmt::format("unexpected GroupVersion string: {}", apiVersion);
  }
  bool hasGroup = slash != std::string_view::npos && slash > 0;
  return hasGroup || r.coreGroup ? "" : "apiVersion must specify API group";
}

void validateReference(const autoscaling::CrossVersionObjectReference& ref, const Reference& r, const Path& p, FieldErrors& errors) {
  requiredSegment(ref.kind, p.child("kind"), errors);
  requiredSegment(ref.name, p.child("name"), errors);
  std::string bad = versionError(ref.apiVersion, r);
  if (!bad.empty()) errors.invalid(p.child("apiVersion"), ref.apiVersion.view(), bad);
}

void validateIdentifier(const autoscaling::MetricIdentifier& id, const Path& p, FieldErrors& errors) {
  if (id.name.empty()) return errors.required(p.child("name"), "must specify a metric name");
  errors.each(p.child("name"), id.name.view(), api::isValidPathSegmentName(id.name));
}

void validateTarget(const autoscaling::MetricTarget& t, const Path& p, FieldErrors& errors) {
  if (t.type.empty()) errors.required(p.child("type"), "must specify a metric target type");
  if (!isIn(t.type, {"Utilization", "Value", "AverageValue"})) {
    errors.invalid(p.child("type"), t.type.view(), "must be either Utilization, Value, or AverageValue");
  }
  if (t.value && t.value->sign() != 1) errors.invalid(p.child("value"), t.value->str(), "must be positive");
  if (t.averageValue && t.averageValue->sign() != 1) errors.invalid(p.child("averageValue"), t.averageValue->str(), "must be positive");
  if (t.averageUtilization && *t.averageUtilization < 1) {
    errors.invalid(p.child("averageUtilization"), *t.averageUtilization, "must be greater than 0");
  }
}

void validateUtilization(const autoscaling::MetricTarget& t, const Path& p, FieldErrors& errors) {
  validateTarget(t, p, errors);
  if (!t.averageUtilization && !t.averageValue) {
    errors.required(p.child("averageUtilization"), "must set either a target raw value or a target utilization");
  }
  if (t.averageUtilization && t.averageValue) {
    errors.forbidden(p.child("averageValue"), "may not set both a target raw value and a target utilization");
  }
}

void validateSource(const autoscaling::ObjectMetricSource& s, const Reference& r, const Path& p, FieldErrors& errors) {
  validateReference(s.describedObject, r, p.child("describedObject"), errors);
  validateIdentifier(s.metric, p.child("metric"), errors);
  Path target = p.child("target");
  validateTarget(s.target, target, errors);
  if (!s.target.value && !s.target.averageValue) {
    errors.required(target.child("averageValue"), "must set either a target value or averageValue");
  }
}

void validateSource(const autoscaling::ExternalMetricSource& s, const Path& p, FieldErrors& errors) {
  validateIdentifier(s.metric, p.child("metric"), errors);
  Path target = p.child("target");
  validateTarget(s.target, target, errors);
  if (!s.target.value && !s.target.averageValue) {
    errors.required(target.child("averageValue"), "must set either a target value for metric or a per-pod target");
  }
  if (s.target.value && s.target.averageValue) {
    errors.forbidden(target.child("value"), "may not set both a target value for metric and a per-pod target");
  }
}

void validateSource(const autoscaling::PodsMetricSource& s, const Path& p, FieldErrors& errors) {
  validateIdentifier(s.metric, p.child("metric"), errors);
  Path target = p.child("target");
  validateTarget(s.target, target, errors);
  if (!s.target.averageValue) errors.required(target.child("averageValue"), "must specify a positive target averageValue");
}

void validateSource(const autoscaling::ContainerResourceMetricSource& s, const Path& p, FieldErrors& errors) {
  if (s.name.empty()) {
    errors.required(p.child("name"), "must specify a resource name");
  } else {
    validateContainerResourceName(s.name, p.child("name"), errors);
  }
  if (s.container.empty()) {
    errors.required(p.child("container"), "must specify a container");
  } else {
    dnsLabel(s.container, p.child("container"), errors);
  }
  validateUtilization(s.target, p.child("target"), errors);
}

void validateSource(const autoscaling::ResourceMetricSource& s, const Path& p, FieldErrors& errors) {
  if (s.name.empty()) errors.required(p.child("name"), "must specify a resource name");
  validateUtilization(s.target, p.child("target"), errors);
}

void validateMetric(const autoscaling::MetricSpec& m, const Reference& objects, const Path& p, FieldErrors& errors) {
  auto unknown = [&] {
    errors.notSupported(p.child("type"), m.type.view(), {"ContainerResource", "External", "Object", "Pods", "Resource"});
  };
  bool known = isIn(m.type, {"ContainerResource", "External", "Object", "Pods", "Resource"});
  if (m.type.empty()) errors.required(p.child("type"), "must specify a metric source type");
  if (!known) unknown();
  // Only the first source is looked at.
  bool looked = false;
  auto first = [&](bool has) { return has && !std::exchange(looked, true); };
  if (first(bool(m.object))) validateSource(*m.object, objects, p.child("object"), errors);
  if (first(bool(m.external))) validateSource(*m.external, p.child("external"), errors);
  if (first(bool(m.pods))) validateSource(*m.pods, p.child("pods"), errors);
  if (first(bool(m.resource))) validateSource(*m.resource, p.child("resource"), errors);
  if (first(bool(m.containerResource))) validateSource(*m.containerResource, p.child("containerResource"), errors);
  struct Source {
    std::string_view type, field;
    bool has;
  };
  const Source sources[] = {{"Object", "object", bool(m.object)},
                            {"External", "external", bool(m.external)},
                            {"Pods", "pods", bool(m.pods)},
                            {"Resource", "resource", bool(m.resource)},
                            {"ContainerResource", "containerResource", bool(m.containerResource)}};
  int count = 0;
  for (const Source& s : sources) {
    count += s.has;
    if (m.type == s.type && !s.has) errors.required(p.child(s.field), "must populate information for the given metric source");
  }
  if (!known) unknown();
  if (count == 1) return;
  for (const Source& s : sources) {
    if (s.has && !(m.type == s.type)) errors.forbidden(p.child(s.field), "must populate the given metric source only");
  }
}

void validateRules(const codec::Box<autoscaling::HPAScalingRules>& r, const Path& p, FieldErrors& errors) {
  if (!r) return;
  Path window = p.child("stabilizationWindowSeconds");
  if (r->stabilizationWindowSeconds) {
    int32_t seconds = *r->stabilizationWindowSeconds;
    if (seconds < 0) errors.invalid(window, seconds, "must be greater than or equal to zero");
    if (seconds > kMaxWindow) errors.invalid(window, seconds, fmt::format("must be less than or equal to {}", kMaxWindow));
  }
  if (r->selectPolicy && !isIn(*r->selectPolicy, {"Disabled", "Max", "Min"})) {
    errors.notSupported(p.child("selectPolicy"), r->selectPolicy->view(), {"Disabled", "Max", "Min"});
  }
  Path policies = p.child("policies");
  if (r->policies.empty()) errors.required(policies, "must specify at least one Policy");
  for (size_t i = 0; i < r->policies.size(); i++) {
    const auto& policy = r->policies[i];
    Path at = policies.index(i);
    if (!isIn(policy.type, {"Pods", "Percent"})) errors.notSupported(at.child("type"), policy.type.view(), {"Percent", "Pods"});
    positive(policy.value, at.child("value"), errors);
    positive(policy.periodSeconds, at.child("periodSeconds"), errors);
    if (policy.periodSeconds > kMaxPeriod) {
      errors.invalid(at.child("periodSeconds"), policy.periodSeconds, fmt::format("must be less than or equal to {}", kMaxPeriod));
    }
  }
  if (r->tolerance) nonNegativeQuantity(*r->tolerance, p.child("tolerance"), errors);
}

struct Options {
  int32_t least = 1;
  Reference target, objects{false, true};
};

void validateSpec(const autoscaling::HorizontalPodAutoscalerSpec& s, const Options& o, FieldErrors& errors) {
  Path p("spec");
  if (s.minReplicas && *s.minReplicas < o.least) {
    errors.invalid(p.child("minReplicas"), *s.minReplicas, fmt::format("must be greater than or equal to {}", o.least));
  }
  Path most = p.child("maxReplicas");
  if (s.maxReplicas == 0) {
    errors.required(most, "must be set and greater than 0");
  } else if (s.maxReplicas < 0) {
    errors.invalid(most, s.maxReplicas, "must be greater than or equal to 1");
  }
  if (s.minReplicas && s.maxReplicas < *s.minReplicas) {
    errors.invalid(most, s.maxReplicas, "must be greater than or equal to `minReplicas`");
  }
  validateReference(s.scaleTargetRef, o.target, p.child("scaleTargetRef"), errors);
  bool outside = false;
  for (size_t i = 0; i < s.metrics.size(); i++) {
    validateMetric(s.metrics[i], o.objects, p.child("metrics").index(i), errors);
    outside = outside || s.metrics[i].type == "Object" || s.metrics[i].type == "External";
  }
  if (s.minReplicas && *s.minReplicas == 0 && !outside) {
    errors.forbidden(p.child("metrics"), "must specify at least one Object or External metric to support scaling to zero replicas");
  }
  if (!s.behavior) return;
  validateRules(s.behavior->scaleUp, p.child("behavior.scaleUp"), errors);
  validateRules(s.behavior->scaleDown, p.child("behavior.scaleDown"), errors);
}

class AutoscalerStrategy : public OtherStrategy {
 public:
  void validateCreate(const Context&, const api::Object& o, FieldErrors& errors) const override {
    const auto& s = o.as<autoscaling::HorizontalPodAutoscaler>().spec;
    Options options;
    options.target.coreGroup = s.scaleTargetRef.kind == "ReplicationController";
    validateSpec(s, options, errors);
  }
  void validateUpdate(const Context&, const api::Object& o, const api::Object& old, FieldErrors& errors) const override {
    const auto &s = o.as<autoscaling::HorizontalPodAutoscaler>().spec, &was = old.as<autoscaling::HorizontalPodAutoscaler>().spec;
    Options options;
    if (was.minReplicas && *was.minReplicas == 0) options.least = 0;
    // What was let in once may stay.
    options.target.anyVersion = s.scaleTargetRef.apiVersion == was.scaleTargetRef.apiVersion && s.scaleTargetRef.kind == was.scaleTargetRef.kind;
    options.target.coreGroup = s.scaleTargetRef.kind == "ReplicationController";
    for (const auto& m : was.metrics) {
      if (m.type == "Object" && m.object && !versionError(m.object->describedObject.apiVersion, options.objects).empty()) {
        options.objects.anyVersion = true;
      }
    }
    validateSpec(s, options, errors);
  }
  void validateStatusUpdate(const Context&, const api::Object& o, const api::Object&, FieldErrors& errors) const override {
    const auto& s = o.as<autoscaling::HorizontalPodAutoscaler>().status;
    nonNegative(s.currentReplicas, Path("status.currentReplicas"), errors);
    nonNegative(s.desiredReplicas, Path("status.desiredReplicas"), errors);
  }
};

}  // namespace

std::unique_ptr<Strategy> makeAutoscaler() { return std::make_unique<AutoscalerStrategy>(); }

}  // namespace km::registry
