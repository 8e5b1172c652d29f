#include <fmt/format.h>

#include "api/selector.h"
#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"
#include "registry/cells.h"
#include "registry/core/pod_columns.h"
#include "registry/core/pod_prepare.h"
#include "registry/kinds.h"
#include "registry/workload_rules.h"

namespace km::registry {
namespace {

using api::core_v1::ReplicationController;

class ReplicationControllerStrategy : public Strategy {
 public:
  void warnings(const Context& c, const api::Object& o, const api::Object* old) const override {
    warnName(c, o, old);
    // An update is told of the template as it was (upstream passes them in this order).
    const auto& t = (old != nullptr ? old : &o)->as<ReplicationController>().spec.template_;
    if (t) warnTemplate(c, o, old, *t, Path("spec.template"));
  }
  void prepareForCreate(const Context& c, api::Object& o) const override {
    Strategy::prepareForCreate(c, o);
    auto& t = o.as<ReplicationController>().spec.template_;
    if (t) dropGatedPodFields(t->spec, nullptr);
  }
  void validateCreate(const Context&, const api::Object& o, FieldErrors& errors) const override {
    const auto& s = o.as<ReplicationController>().spec;
    nonNegative(s.minReadySeconds, Path("spec.minReadySeconds"), errors);
    if (s.selector.empty()) errors.required(Path("spec.selector"), "");
    if (!s.replicas) {
      errors.required(Path("spec.replicas"), "");
    } else {
      nonNegative(*s.replicas, Path("spec.replicas"), errors);
    }
    Path p("spec.template");
    if (!s.template_) return errors.required(p, "");
    const auto& t = *s.template_;
    if (!s.selector.empty() && !api::LabelSelector::ofSet(s.selector).matches(t.metadata.labels)) {
      errors.invalid(p.child("metadata.labels"), labelsValue(t.metadata.labels), "`selector` does not match template `labels`");
    }
    validatePodTemplate(t, p, errors);
    if (t.spec.restartPolicy != "Always") {
      errors.notSupported(p.child("spec.restartPolicy"), t.spec.restartPolicy.view(), {"Always"});
    }
    if (t.spec.activeDeadlineSeconds) {
      errors.forbidden(p.child("spec.activeDeadlineSeconds"), "activeDeadlineSeconds in ReplicationController is not Supported");
    }
  }
  void validateUpdate(const Context& c, const api::Object& o, const api::Object&, FieldErrors& errors) const override {
    validateCreate(c, o, errors);
  }
  void validateStatusUpdate(const Context&, const api::Object& o, const api::Object&, FieldErrors& errors) const override {
    const auto& s = o.as<ReplicationController>().status;
    Path p("status");
    nonNegative(s.replicas, p.child("replicas"), errors);
    nonNegative(s.fullyLabeledReplicas, p.child("fullyLabeledReplicas"), errors);
    nonNegative(s.readyReplicas, p.child("readyReplicas"), errors);
    nonNegative(s.availableReplicas, p.child("availableReplicas"), errors);
    nonNegative(s.observedGeneration, p.child("observedGeneration"), errors);
    auto most = [&](int32_t n, int32_t top, std::string_view field, std::string_view why) {
      if (n > top) errors.invalid(p.child(field), n, why);
    };
    most(s.fullyLabeledReplicas, s.replicas, "fullyLabeledReplicas", "cannot be greater than status.replicas");
    most(s.readyReplicas, s.replicas, "readyReplicas", "cannot be greater than status.replicas");
    most(s.availableReplicas, s.replicas, "availableReplicas", "cannot be greater than status.replicas");
    most(s.availableReplicas, s.readyReplicas, "availableReplicas", "cannot be greater than readyReplicas");
  }
  GarbageCollection defaultGarbageCollection() const override { return GarbageCollection::kOrphan; }
  std::vector<std::string> cells(const api::Resource&, const api::Object& o, WallTime now) const override {
    const auto& r = o.as<ReplicationController>();
    const auto& t = r.spec.template_;
    return {textCell(o.name()), numberCell(r.spec.replicas.value_or(0)), numberCell(r.status.replicas),
            numberCell(r.status.readyReplicas), ageCell(o, now), textCell(t ? containerNames(t->spec) : ""),
            textCell(t ? containerImages(t->spec) : ""), textCell(labelsText(r.spec.selector))};
  }
};

}  // namespace

std::unique_ptr<Strategy> makeReplicationController() { return std::make_unique<ReplicationControllerStrategy>(); }

}  // namespace km::registry
