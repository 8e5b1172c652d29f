#include "scheduler/pod_class.h"

#include "codec/proto.h"

namespace km::scheduler {
namespace {

using api::core_v1::Container;
using api::core_v1::Pod;

void text(std::string& out, std::string_view s) {
  out.append(s).push_back('\0');
}

template <typename T>
void message(std::string& out, const T& m) {
  codec::encodeProto(out, &m, T::kType);
  out.push_back('\1');
}

void amounts(std::string& out, const codec::Map<codec::Quantity>& list) {
  for (const auto& [name, q] : list) {
    text(out, name);
    __int128 v = q.nanoValue();
    out.append(reinterpret_cast<const char*>(&v), sizeof v);
  }
  out.push_back('\2');
}

void map(std::string& out, const Labels& labels) {
  for (const auto& [k, v] : labels) {
    text(out, k);
    text(out, v);
  }
  out.push_back('\2');
}

void container(std::string& out, const Container& c) {
  text(out, c.image);
  amounts(out, c.resources.requests);
  for (const auto& p : c.ports) {
    if (p.hostPort != 0) message(out, p);
  }
  if (c.restartPolicy) text(out, *c.restartPolicy);
  out.push_back('\3');
}

}  // namespace

const api::meta_v1::OwnerReference* controllerOf(const api::meta_v1::ObjectMeta& meta) {
  for (const auto& o : meta.ownerReferences) {
    if (o.controller && *o.controller) return &o;
  }
  return nullptr;
}

std::string nodeAffinityKey(const Pod& pod) {
  std::string out;
  if (!pod.spec.nodeSelector.empty()) map(out, pod.spec.nodeSelector);
  if (pod.spec.affinity && pod.spec.affinity->nodeAffinity) message(out, *pod.spec.affinity->nodeAffinity);
  return out;
}

std::string tolerationsKey(const Pod& pod) {
  std::string out;
  for (const auto& t : pod.spec.tolerations) {
    for (std::string_view s : {t.key.view(), t.operator_.view(), t.value.view(), t.effect.view()})
      text(out, s);
  }
  return out;
}

std::string classKey(const Pod& pod) {
  std::string out;
  out.reserve(512);
  text(out, pod.metadata.namespace_);
  map(out, pod.metadata.labels);
  if (const auto* owner = controllerOf(pod.metadata)) {
    text(out, owner->kind);
    text(out, owner->name);
  }
  map(out, pod.spec.nodeSelector);
  if (pod.spec.affinity) message(out, *pod.spec.affinity);
  out += tolerationsKey(pod);
  out.push_back('\3');
  for (const auto& c : pod.spec.topologySpreadConstraints) message(out, c);
  out.push_back('\3');
  for (const auto& c : pod.spec.initContainers) container(out, c);
  out.push_back('\4');
  for (const auto& c : pod.spec.containers) container(out, c);
  amounts(out, pod.spec.overhead);
  if (pod.spec.resources) amounts(out, pod.spec.resources->requests);
  for (const auto& v : pod.spec.volumes) {
    if (v.persistentVolumeClaim) text(out, v.persistentVolumeClaim->claimName);
    if (v.ephemeral) text(out, v.name);
    if (v.image) text(out, v.image->reference);
  }
  if (!pod.spec.nodeName.empty() && resizing(pod)) {
    for (bool defaults : {false, true}) {
      Amounts a = placedRequests(pod, defaults);
      out += std::to_string(a.milliCpu) + "," + std::to_string(a.memory) + "," +
             std::to_string(a.ephemeralStorage);
    }
  }
  return out;
}

}  // namespace km::scheduler
