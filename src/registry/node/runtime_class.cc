#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"
#include "api/types/node_v1.h"
#include "codec/ops.h"
#include "registry/core/pod_parts.h"
#include "registry/core/pod_warnings.h"
#include "registry/kinds.h"
#include "registry/metadata.h"
#include "registry/other_columns.h"

namespace km::registry {
namespace {

using api::node_v1::RuntimeClass;

class RuntimeClassStrategy : public OtherStrategy {
 public:
  void validateCreate(const Context&, const api::Object& o, FieldErrors& errors) const override {
    const auto& c = o.as<RuntimeClass>();
    if (c.handler.empty()) {
      errors.required(Path("handler"), "");
    } else {
      dnsLabel(c.handler, Path("handler"), errors);
    }
    if (c.overhead) {
      api::core_v1::ResourceRequirements limits;
      limits.limits = c.overhead->podFixed;
      validateResources(limits, false, {}, Path("overhead"), errors);
    }
    if (!c.scheduling) return;
    validateLabels(c.scheduling->nodeSelector, Path("scheduling.nodeSelector"), errors);
    const auto& list = c.scheduling->tolerations;
    Path p("scheduling.tolerations");
    validateTolerations(list, p, errors);
    for (size_t i = 0; i < list.size(); i++) {
      for (size_t k = 0; k < i; k++) {
        const auto &a = list[i], &b = list[k];
        if (a.key == b.key && a.operator_ == b.operator_ && a.value == b.value && a.effect == b.effect) {
          errors.duplicate(p.index(i), structValue(a));
          break;
        }
      }
    }
  }
  void validateUpdate(const Context&, const api::Object& o, const api::Object& old, FieldErrors& errors) const override {
    const auto& handler = o.as<RuntimeClass>().handler;
    immutable(handler == old.as<RuntimeClass>().handler, Path("handler"), handler.view(), errors);
  }
  void warnings(const Context& c, const api::Object& o, const api::Object*) const override {
    const auto& s = o.as<RuntimeClass>().scheduling;
    if (!s) return;
    for (const auto& [key, value] : s->nodeSelector) {
      if (auto why = deprecatedNodeLabel(key)) c.warn("scheduling.nodeSelector: " + std::string(*why));
    }
  }
};

}  // namespace

std::unique_ptr<Strategy> makeRuntimeClass() { return std::make_unique<RuntimeClassStrategy>(); }

}  // namespace km::registry
