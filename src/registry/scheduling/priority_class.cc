#include <fmt/format.h>

#include "api/types/meta_v1.h"
#include "api/types/scheduling_v1.h"
#include "registry/cells.h"
#include "registry/kinds.h"
#include "registry/rules.h"

namespace km::registry {
namespace {

using api::scheduling_v1::PriorityClass;

constexpr int32_t kHighestUserPriority = 1'000'000'000;

struct SystemClass {
  std::string_view name;
  int32_t value;
};
constexpr SystemClass kSystemClasses[] = {
    {"system-node-critical", 2 * kHighestUserPriority + 1000},
    {"system-cluster-critical", 2 * kHighestUserPriority},
};

class PriorityClassStrategy : public Strategy {
 public:
  void prepareForCreate(const Context&, api::Object& o) const override { o.meta().generation = 1; }
  void prepareForUpdate(const Context&, api::Object&, const api::Object&) const override {}
  void validateCreate(const Context&, const api::Object& o, FieldErrors& errors) const override {
    const auto& p = o.as<PriorityClass>();
    if (o.name().starts_with("system-")) {
      const SystemClass* known = nullptr;
      for (const auto& s : kSystemClasses) {
        if (s.name == o.name()) known = &s;
      }
      std::string detail = "priority class names with 'system-' prefix are reserved for system use only. error: ";
      if (known == nullptr) {
        errors.forbidden(Path("metadata.name"), detail + fmt::format("{} is not a known system priority class", o.name()));
      } else if (known->value != p.value) {
        errors.forbidden(Path("metadata.name"), detail + fmt::format("value of {} PriorityClass must be {}", o.name(), known->value));
      } else if (p.globalDefault) {
        errors.forbidden(Path("metadata.name"), detail + fmt::format("globalDefault of {} PriorityClass must be false", o.name()));
      }
    } else if (p.value > kHighestUserPriority) {
      errors.forbidden(Path("value"), fmt::format("maximum allowed value of a user defined priority is {}", kHighestUserPriority));
    }
    if (p.preemptionPolicy) {
      oneOf(*p.preemptionPolicy, {"PreemptLowerPriority", "Never"}, Path("preemptionPolicy"), errors);
    }
  }
  void validateUpdate(const Context&, const api::Object& o, const api::Object& old, FieldErrors& errors) const override {
    const auto& p = o.as<PriorityClass>();
    if (p.value != old.as<PriorityClass>().value) errors.forbidden(Path("value"), "may not be changed in an update.");
    immutable(samePart(o, old, "preemptionPolicy"), Path("preemptionPolicy"),
              p.preemptionPolicy ? BadValue(p.preemptionPolicy->view()) : BadValue::raw("null"), errors);
  }
  bool allowUnconditionalUpdate() const override { return true; }
  std::vector<std::string> cells(const api::Resource&, const api::Object& o, WallTime now) const override {
    const auto& p = o.as<PriorityClass>();
    return {textCell(o.name()), numberCell(p.value), boolCell(p.globalDefault), ageCell(o, now),
            textCell(p.preemptionPolicy ? p.preemptionPolicy->view() : "")};
  }
};

}  // namespace

std::unique_ptr<Strategy> makePriorityClass() { return std::make_unique<PriorityClassStrategy>(); }

}  // namespace km::registry
