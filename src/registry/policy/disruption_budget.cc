#include "api/types/meta_v1.h"
#include "api/types/policy_v1.h"
#include "registry/cells.h"
#include "registry/kinds.h"
#include "registry/workload_rules.h"

namespace km::registry {
namespace {

using api::policy_v1::PodDisruptionBudget;

class DisruptionBudgetStrategy : public Strategy {
 public:
  void validateCreate(const Context&, const api::Object& o, FieldErrors& errors) const override {
    const auto& s = o.as<PodDisruptionBudget>().spec;
    Path p("spec");
    if (s.minAvailable && s.maxUnavailable) {
      errors.invalid(p, structValue(s), "minAvailable and maxUnavailable cannot be both set");
    }
    auto check = [&](const std::optional<codec::IntOrString>& v, std::string_view field) {
      if (!v) return;
      validateIntOrPercent(*v, p.child(field), errors);
      notMoreThan100Percent(*v, p.child(field), errors);
    };
    check(s.minAvailable, "minAvailable");
    check(s.maxUnavailable, "maxUnavailable");
    if (s.selector) validateLabelSelector(*s.selector, p.child("selector"), errors);
    if (s.unhealthyPodEvictionPolicy &&
        !isIn(*s.unhealthyPodEvictionPolicy, {"AlwaysAllow", "IfHealthyBudget"})) {
      errors.notSupported(p.child("unhealthyPodEvictionPolicy"), s.unhealthyPodEvictionPolicy->view(),
                          {"AlwaysAllow", "IfHealthyBudget"});
    }
  }
  void validateUpdate(const Context& c, const api::Object& o, const api::Object&,
                      FieldErrors& errors) const override {
    validateCreate(c, o, errors);
  }
  void validateStatusUpdate(const Context&, const api::Object& o, const api::Object&,
                            FieldErrors& errors) const override {
    const auto& s = o.as<PodDisruptionBudget>().status;
    Path p("status");
    validateConditions(s.conditions, p.child("conditions"), errors);
    nonNegative(s.disruptionsAllowed, p.child("disruptionsAllowed"), errors);
    nonNegative(s.currentHealthy, p.child("currentHealthy"), errors);
    nonNegative(s.desiredHealthy, p.child("desiredHealthy"), errors);
    nonNegative(s.expectedPods, p.child("expectedPods"), errors);
  }
  // A change must say which version it means: evictions count on the budget they saw.
  bool allowUnconditionalUpdate() const override { return false; }
  std::vector<std::string> cells(const api::Resource&, const api::Object& o, WallTime now) const override {
    const auto& b = o.as<PodDisruptionBudget>();
    auto text = [](const std::optional<codec::IntOrString>& v) { return textCell(v ? v->str() : "N/A"); };
    return {textCell(o.name()), text(b.spec.minAvailable), text(b.spec.maxUnavailable),
            numberCell(b.status.disruptionsAllowed), ageCell(o, now)};
  }
};

}  // namespace

std::unique_ptr<Strategy> makeDisruptionBudget() {
  return std::make_unique<DisruptionBudgetStrategy>();
}

}  // namespace km::registry
