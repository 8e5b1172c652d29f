#include "registry/core/pod_binding.h"

#include <fmt/format.h>

#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"
#include "base/status.h"
#include "registry/core/pod_conditions.h"
#include "registry/rules.h"

namespace km::registry {

namespace v1 = api::core_v1;

bool setPodCondition(v1::PodStatus& status, v1::PodCondition condition, WallTime now) {
  condition.lastTransitionTime = codec::Time(now);
  for (auto& c : status.conditions) {
    if (!(c.type == condition.type)) continue;
    if (c.status == condition.status) condition.lastTransitionTime = c.lastTransitionTime;
    bool same = c.status == condition.status && c.reason == condition.reason && c.message == condition.message;
    c = std::move(condition);
    return !same;
  }
  status.conditions.push_back(std::move(condition));
  return true;
}

Status validateBinding(const api::Object& binding) {
  const auto& target = binding.as<v1::Binding>().target;
  FieldErrors bad;
  if (!target.kind.empty() && target.kind != "Node") {
    bad.notSupported(Path("target.kind"), target.kind.view(), {"Node", "<empty>"});
  }
  if (target.name.empty()) bad.required(Path("target.name"), "");
  if (bad.empty()) return {};
  return Status(500, "", bad.aggregate());
}

Result<api::MutableObject> bindPod(const api::Object& existing, const api::Object& object, WallTime now) {
  const auto& binding = object.as<v1::Binding>();
  api::MutableObject o = existing.clone();
  auto& pod = o->as<v1::Pod>();
  auto refuse = [&](std::string why) { return errors::conflict({"", "pods/binding"}, pod.metadata.name, why); };
  if (pod.metadata.deletionTimestamp) {
    return refuse(fmt::format("pod {} is being deleted, cannot be assigned to a host", pod.metadata.name));
  }
  if (!pod.spec.nodeName.empty()) {
    return refuse(fmt::format("pod {} is already assigned to node {}", pod.metadata.name, api::goQuote(pod.spec.nodeName)));
  }
  if (!pod.spec.schedulingGates.empty()) {
    return refuse(fmt::format("pod {} has non-empty .spec.schedulingGates", pod.metadata.name));
  }
  pod.spec.nodeName = binding.target.name;
  pod.status.nominatedNodeName.clear();
  for (const auto& [key, value] : binding.metadata.annotations) pod.metadata.annotations[key] = value;
  for (const auto& [key, value] : binding.metadata.labels) pod.metadata.labels[key] = value;
  v1::PodCondition scheduled;
  scheduled.type = "PodScheduled";
  scheduled.status = "True";
  setPodCondition(pod.status, std::move(scheduled), now);
  return o;
}

}  // namespace km::registry
