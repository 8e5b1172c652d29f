#include "api/types/coordination_v1.h"
#include "api/types/meta_v1.h"
#include "registry/cells.h"
#include "registry/kinds.h"
#include "registry/rules.h"

namespace km::registry {
namespace {

using api::coordination_v1::Lease;

class LeaseStrategy : public Strategy {
 public:
  // Coordinated leader election is a gate that is off: its fields stay out.
  void prepareForCreate(const Context&, api::Object& o) const override {
    o.as<Lease>().spec.strategy.reset();
    o.as<Lease>().spec.preferredHolder.reset();
  }
  void prepareForUpdate(const Context&, api::Object& o, const api::Object& old) const override {
    if (!old.as<Lease>().spec.strategy) o.as<Lease>().spec.strategy.reset();
    if (!old.as<Lease>().spec.preferredHolder) o.as<Lease>().spec.preferredHolder.reset();
  }
  void validateCreate(const Context&, const api::Object& o, FieldErrors& errors) const override {
    const auto& s = o.as<Lease>().spec;
    if (s.leaseDurationSeconds && *s.leaseDurationSeconds <= 0) {
      errors.invalid(Path("spec.leaseDurationSeconds"), *s.leaseDurationSeconds, "must be greater than 0");
    }
    if (s.leaseTransitions && *s.leaseTransitions < 0) {
      errors.invalid(Path("spec.leaseTransitions"), *s.leaseTransitions, "must be greater than or equal to 0");
    }
  }
  void validateUpdate(const Context& c, const api::Object& o, const api::Object&, FieldErrors& errors) const override {
    validateCreate(c, o, errors);
  }
  bool allowCreateOnUpdate() const override { return true; }
  bool allowUnconditionalUpdate() const override { return false; }
  std::vector<std::string> cells(const api::Resource&, const api::Object& o, WallTime now) const override {
    const auto& holder = o.as<Lease>().spec.holderIdentity;
    return {textCell(o.name()), textCell(holder ? holder->view() : ""), ageCell(o, now)};
  }
};

}  // namespace

std::unique_ptr<Strategy> makeLease() { return std::make_unique<LeaseStrategy>(); }

}  // namespace km::registry
