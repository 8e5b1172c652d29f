#include "controllers/objects.h"

namespace km::controllers {

std::string keyOf(const ObjectMeta& meta) {
  return meta.namespace_.empty() ? meta.name.str() : meta.namespace_.str() + "/" + meta.name.str();
}

std::pair<std::string, std::string> splitKey(std::string_view key) {
  size_t slash = key.find('/');
  if (slash == std::string_view::npos) return {"", std::string(key)};
  return {std::string(key.substr(0, slash)), std::string(key.substr(slash + 1))};
}

const OwnerReference* controllerOf(const ObjectMeta& meta) {
  for (const OwnerReference& r : meta.ownerReferences) {
    if (r.controller.value_or(false)) return &r;
  }
  return nullptr;
}

bool isControlledBy(const ObjectMeta& meta, std::string_view uid) {
  const OwnerReference* r = controllerOf(meta);
  return r != nullptr && r->uid == uid;
}

OwnerReference makeControllerRef(const codec::TypeInfo& type, const ObjectMeta& owner) {
  OwnerReference r;
  r.apiVersion = type.apiVersion;
  r.kind = type.name;
  r.name = owner.name;
  r.uid = owner.uid;
  r.controller = true;
  r.blockOwnerDeletion = true;
  return r;
}

bool isPodTerminal(const Pod& pod) { return pod.status.phase == "Failed" || pod.status.phase == "Succeeded"; }
bool isPodActive(const Pod& pod) { return !isPodTerminal(pod) && !pod.metadata.deletionTimestamp; }

const api::core_v1::PodCondition* findPodCondition(const Pod& pod, std::string_view type) {
  for (const auto& c : pod.status.conditions) {
    if (c.type == type) return &c;
  }
  return nullptr;
}

bool isPodReady(const Pod& pod) {
  const auto* c = findPodCondition(pod, "Ready");
  return c != nullptr && c->status == "True";
}

bool isPodAvailable(const Pod& pod, int32_t minReadySeconds, WallTime now) {
  const auto* c = findPodCondition(pod, "Ready");
  if (c == nullptr || c->status != "True") return false;
  return minReadySeconds == 0 ||
         (!c->lastTransitionTime.isZero() && c->lastTransitionTime.seconds + minReadySeconds <= now.seconds);
}

bool hasCause(const Status& status, std::string_view reason) {
  if (status.ok() || status.details() == nullptr) return false;
  for (const StatusCause& c : status.details()->causes) {
    if (c.reason == reason) return true;
  }
  return false;
}

client::WriteOptions writeOptions() { return {.fieldManager = std::string(kFieldManager)}; }

}  // namespace km::controllers
