// RuntimeClass, PodTopologyLabels.
#include <fmt/format.h>

#include "admission/plugins.h"
#include "api/field_error.h"
#include "api/types/core_v1.h"
#include "api/types/node_v1.h"
#include "codec/ops.h"

namespace km::admission {
namespace {

using api::core_v1::Pod;
using api::core_v1::Toleration;

// Whether `wide` tolerates all that `t` does.
bool covers(const Toleration& wide, const Toleration& t) {
  if (codec::equal(&wide, &t, Toleration::kType)) return true;
  bool anyKey = wide.key.empty() && wide.operator_ == "Exists";
  if (!(t.key == wide.key) && !anyKey) return false;
  if (!(t.effect == wide.effect) && !wide.effect.empty()) return false;
  if (wide.effect == "NoExecute" && wide.tolerationSeconds) {
    if (!t.tolerationSeconds || *t.tolerationSeconds > *wide.tolerationSeconds) return false;
  }
  if (wide.operator_.empty() || wide.operator_ == "Equal") return t.operator_ == "Equal" && t.value == wide.value;
  return wide.operator_ == "Exists";
}

// Both lists without those that another one covers; of equal ones the first stays.
codec::List<Toleration> merged(const codec::List<Toleration>& a, const codec::List<Toleration>& b) {
  codec::List<Toleration> all = a, out;
  for (const Toleration& t : b) all.push_back(t);
  for (size_t i = 0; i < all.size(); i++) {
    bool redundant = false;
    for (const Toleration& kept : out) redundant = redundant || covers(kept, all[i]);
    for (size_t k = i + 1; k < all.size(); k++) {
      redundant = redundant || (!codec::equal(&all[i], &all[k], Toleration::kType) && covers(all[k], all[i]));
    }
    if (!redundant) out.push_back(all[i]);
  }
  return out;
}

// RuntimeClass: the overhead of the pod's runtime, and where it runs.
class RuntimeClass : public Plugin {
 public:
  explicit RuntimeClass(const PluginContext& c) : context_(c) {}
  std::string_view name() const override { return "RuntimeClass"; }

  Status mutate(Attributes& a) const override {
    if (!handles(a)) return {};
    Pod& pod = a.object->as<Pod>();
    api::ObjectPtr found;
    KM_TRY(find(a, pod, found));
    if (!found) return {};
    const auto& c = found->as<api::node_v1::RuntimeClass>();
    if (c.overhead) {
      if (!pod.spec.overhead.empty() && !(c.overhead->podFixed == pod.spec.overhead)) return mismatch(a);
      pod.spec.overhead = c.overhead->podFixed;
    }
    if (!c.scheduling) return {};
    for (const auto& [key, value] : c.scheduling->nodeSelector) {
      const codec::String* own = pod.spec.nodeSelector.find(key);
      if (own != nullptr && !(*own == value)) {
        return refuse(a, fmt::format("conflict: runtimeClass.scheduling.nodeSelector[{}] = {}; pod.spec.nodeSelector[{}] = {}", key, value,
                                     key, *own));
      }
      pod.spec.nodeSelector[key] = value;
    }
    pod.spec.tolerations = merged(pod.spec.tolerations, c.scheduling->tolerations);
    return {};
  }

  Status validate(const Attributes& a) const override {
    if (!handles(a)) return {};
    const Pod& pod = a.object->as<Pod>();
    api::ObjectPtr found;
    KM_TRY(find(a, pod, found));
    if (found && found->as<api::node_v1::RuntimeClass>().overhead) {
      if (!(found->as<api::node_v1::RuntimeClass>().overhead->podFixed == pod.spec.overhead)) return mismatch(a);
    } else if (!pod.spec.overhead.empty()) {
      return refuse(a, "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead");
    }
    return {};
  }

 private:
  static bool handles(const Attributes& a) {
    return a.isFor("", "pods") && a.subresource.empty() && a.operation == Operation::kCreate;
  }
  static Status refuse(const Attributes& a, std::string_view why) { return errors::forbidden({"", "pods"}, a.name, why); }
  static Status mismatch(const Attributes& a) {
    return refuse(a, "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead");
  }
  Status find(const Attributes& a, const Pod& pod, api::ObjectPtr& out) const {
    if (!pod.spec.runtimeClassName) return {};
    out = context_.get("node.k8s.io", "runtimeclasses", "", *pod.spec.runtimeClassName);
    if (out) return {};
    return refuse(a, fmt::format("pod rejected: RuntimeClass {} not found", api::goQuote(*pod.spec.runtimeClassName)));
  }

  PluginContext context_;
};

// PodTopologyLabels: a pod that gets its node learns where that node stands.
class PodTopologyLabels : public Plugin {
 public:
  explicit PodTopologyLabels(const PluginContext& c) : context_(c) {}
  std::string_view name() const override { return "PodTopologyLabels"; }

  Status mutate(Attributes& a) const override {
    if (!a.isFor("", "pods") || a.operation != Operation::kCreate) return {};
    if (a.subresource.empty()) {
      copy(a.object->as<Pod>().spec.nodeName, *a.object);
    } else if (a.subresource == "binding") {
      const auto& target = a.object->as<api::core_v1::Binding>().target;
      if (target.kind == "Node") copy(target.name, *a.object);
    }
    return {};
  }

 private:
  void copy(std::string_view nodeName, api::Object& to) const {
    if (nodeName.empty()) return;
    api::ObjectPtr node = context_.get("", "nodes", "", nodeName);
    if (!node) return;
    for (std::string_view key : {"topology.kubernetes.io/zone", "topology.kubernetes.io/region"}) {
      if (const codec::String* v = node->meta().labels.find(key)) to.meta().labels[key] = *v;
    }
  }

  PluginContext context_;
};

}  // namespace

std::unique_ptr<Plugin> makeRuntimeClass(const PluginContext& c) { return std::make_unique<RuntimeClass>(c); }
std::unique_ptr<Plugin> makePodTopologyLabels(const PluginContext& c) { return std::make_unique<PodTopologyLabels>(c); }

}  // namespace km::admission
