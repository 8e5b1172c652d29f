// Priority, DefaultTolerationSeconds, TaintNodesByCondition.
#include <fmt/format.h>

#include "admission/plugins.h"
#include "api/types/core_v1.h"
#include "api/types/scheduling_v1.h"

namespace km::admission {
namespace {

using api::core_v1::Pod;

bool isNewPod(const Attributes& a) { return a.isFor("", "pods") && a.subresource.empty() && a.operation == Operation::kCreate; }

// Priority: the number that stands behind a pod's class.
class Priority : public Plugin {
 public:
  explicit Priority(const PluginContext& c) : context_(c) {}
  std::string_view name() const override { return "Priority"; }

  Status mutate(Attributes& a) const override {
    if (!isNewPod(a)) return {};
    Pod& pod = a.object->as<Pod>();
    int32_t priority = 0;
    codec::String policy("PreemptLowerPriority");
    if (pod.spec.priorityClassName.empty()) {
      if (api::ObjectPtr byDefault = defaultClass()) {
        const auto& c = byDefault->as<api::scheduling_v1::PriorityClass>();
        pod.spec.priorityClassName = byDefault->name();
        priority = c.value;
        if (c.preemptionPolicy) policy = *c.preemptionPolicy;
      }
    } else {
      api::ObjectPtr o = context_.get("scheduling.k8s.io", "priorityclasses", "", pod.spec.priorityClassName);
      if (!o) {
        return errors::forbidden({"", "pods"}, a.name, fmt::format("no PriorityClass with name {} was found", pod.spec.priorityClassName));
      }
      const auto& c = o->as<api::scheduling_v1::PriorityClass>();
      priority = c.value;
      if (c.preemptionPolicy) policy = *c.preemptionPolicy;
    }
    if (pod.spec.priority && *pod.spec.priority != priority) {
      return errors::forbidden({"", "pods"}, a.name,
                               fmt::format("the integer value of priority ({}) must not be provided in pod spec; priority admission "
                                           "controller computed {} from the given PriorityClass name",
                                           *pod.spec.priority, priority));
    }
    pod.spec.priority = priority;
    if (pod.spec.preemptionPolicy && *pod.spec.preemptionPolicy != policy) {
      return errors::forbidden({"", "pods"}, a.name,
                               fmt::format("the string value of PreemptionPolicy ({}) must not be provided in pod spec; priority admission "
                                           "controller computed {} from the given PriorityClass name",
                                           *pod.spec.preemptionPolicy, policy));
    }
    pod.spec.preemptionPolicy = policy;
    return {};
  }

  Status validate(const Attributes& a) const override {
    if (!a.isFor("scheduling.k8s.io", "priorityclasses") || a.operation == Operation::kDelete) return {};
    const auto& c = a.object->as<api::scheduling_v1::PriorityClass>();
    if (!c.globalDefault) return {};
    api::ObjectPtr other = defaultClass();
    if (other && other->name() != a.object->name()) {
      return errors::forbidden({"scheduling.k8s.io", "priorityclasses"}, a.name,
                               fmt::format("PriorityClass {} is already marked as default. Only one default can exist", other->name()));
    }
    return {};
  }

 private:
  api::ObjectPtr defaultClass() const {
    api::ObjectPtr lowest;
    auto all = context_.list("scheduling.k8s.io", "priorityclasses", "");
    for (const api::ObjectPtr& o : *all) {
      const auto& c = o->as<api::scheduling_v1::PriorityClass>();
      if (c.globalDefault && (!lowest || c.value < lowest->as<api::scheduling_v1::PriorityClass>().value)) lowest = o;
    }
    return lowest;
  }
  PluginContext context_;
};

// DefaultTolerationSeconds: pods stay five minutes on a node that is not ready or cannot be reached.
class DefaultTolerationSeconds : public Plugin {
 public:
  std::string_view name() const override { return "DefaultTolerationSeconds"; }
  Status mutate(Attributes& a) const override {
    if (!a.isFor("", "pods") || !a.subresource.empty() || a.object == nullptr) return {};
    Pod& pod = a.object->as<Pod>();
    for (std::string_view taint : {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"}) {
      bool tolerated = false;
      for (const auto& t : pod.spec.tolerations) {
        tolerated = tolerated || ((t.key == taint || t.key.empty()) && (t.effect == "NoExecute" || t.effect.empty()));
      }
      if (tolerated) continue;
      auto& t = pod.spec.tolerations.add();
      t.key = taint;
      t.operator_ = "Exists";
      t.effect = "NoExecute";
      t.tolerationSeconds = 300;
    }
    return {};
  }
};

// TaintNodesByCondition: a new node takes no pods before the node controller has seen it ready.
class TaintNodesByCondition : public Plugin {
 public:
  std::string_view name() const override { return "TaintNodesByCondition"; }
  Status mutate(Attributes& a) const override {
    if (!a.isFor("", "nodes") || !a.subresource.empty() || a.operation != Operation::kCreate) return {};
    auto& node = a.object->as<api::core_v1::Node>();
    for (const auto& t : node.spec.taints) {
      if (t.key == "node.kubernetes.io/not-ready" && t.effect == "NoSchedule") return {};
    }
    auto& t = node.spec.taints.add();
    t.key = "node.kubernetes.io/not-ready";
    t.effect = "NoSchedule";
    return {};
  }
};

}  // namespace

std::unique_ptr<Plugin> makePriority(const PluginContext& c) { return std::make_unique<Priority>(c); }
std::unique_ptr<Plugin> makeDefaultTolerationSeconds(const PluginContext&) { return std::make_unique<DefaultTolerationSeconds>(); }
std::unique_ptr<Plugin> makeTaintNodesByCondition(const PluginContext&) { return std::make_unique<TaintNodesByCondition>(); }

}  // namespace km::admission
