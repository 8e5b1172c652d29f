#include "registry/core/pod_subresources.h"

#include <fmt/format.h>

#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"
#include "codec/ops.h"
#include "registry/core/pod_validation.h"
#include "registry/go_json.h"
#include "resources/pod.h"

namespace km::registry {

namespace v1 = api::core_v1;

namespace {

constexpr std::string_view kMirror = "kubernetes.io/config.mirror";
constexpr std::string_view kMutable = "only cpu and memory resources are mutable";

using Quantities = codec::Map<codec::Quantity>;

// Of the metadata only the managed fields are the new object's.
void keepMeta(api::meta_v1::ObjectMeta& meta, const api::meta_v1::ObjectMeta& old) {
  meta.deletionTimestamp = old.deletionTimestamp;
  meta.generation = old.generation;
  meta.selfLink = old.selfLink;
  meta.labels = old.labels;
  meta.annotations = old.annotations;
  meta.finalizers = old.finalizers;
  meta.ownerReferences = old.ownerReferences;
}

// The old containers with the new resources; the new ones as they are if they are others.
codec::List<v1::Container> withResources(const codec::List<v1::Container>& now, const codec::List<v1::Container>& was) {
  codec::List<v1::Container> out = was;
  for (size_t i = 0; i < now.size(); i++) {
    if (!(now[i].name == was[i].name)) return now;
    out[i].resources = now[i].resources;
    out[i].resizePolicy = now[i].resizePolicy;
  }
  return out;
}

bool removed(const Quantities& now, const Quantities& was) {
  if (was.size() > now.size()) return true;
  for (const auto& [name, q] : was) {
    if (!now.contains(name)) return true;
  }
  return false;
}

// The new list with cpu and memory as they were.
Quantities otherThanCpuAndMemory(const Quantities& now, const Quantities& was) {
  Quantities out;
  for (const auto& [name, q] : now) {
    if (name != "cpu" && name != "memory") out[name] = q;
  }
  for (std::string_view name : {"cpu", "memory"}) {
    if (const codec::Quantity* q = was.find(name)) out[name] = *q;
  }
  return out;
}

// Part of upstream's munging drops claims of the containers, so they count as changed.
v1::Container munged(const v1::Container& now, const v1::Container& was) {
  v1::Container c = now;
  v1::ResourceRequirements r;
  r.limits = otherThanCpuAndMemory(now.resources.limits, was.resources.limits);
  r.requests = otherThanCpuAndMemory(now.resources.requests, was.resources.requests);
  c.resources = r;
  return c;
}

bool same(const v1::Container& a, const v1::Container& b) { return codec::equal(&a, &b, v1::Container::kType); }

bool hasPodLevel(const v1::PodSpec& s) { return s.resources && (!s.resources->requests.empty() || !s.resources->limits.empty()); }

// Returns the pod-level resources with cpu and memory as they were.
void validatePodLevel(v1::PodSpec& now, const v1::PodSpec& was, FieldErrors& errors) {
  Path p("spec.resources");
  if (was.resources && !now.resources) return errors.forbidden(p, "pod-level resources cannot be removed");
  if (was.resources) {
    if (removed(now.resources->requests, was.resources->requests)) {
      errors.forbidden(p.child("requests"), "pod-level resource requests cannot be removed");
    }
    if (removed(now.resources->limits, was.resources->limits)) {
      errors.forbidden(p.child("limits"), "pod-level resource limits cannot be removed");
    }
  }
  if (now.resources) {
    static const Quantities kNone;
    auto& r = *now.resources;
    r.requests = otherThanCpuAndMemory(r.requests, was.resources ? was.resources->requests : kNone);
    r.limits = otherThanCpuAndMemory(r.limits, was.resources ? was.resources->limits : kNone);
    if (!was.resources && r.requests.empty() && r.limits.empty() && r.claims.empty()) now.resources.reset();
  }
  bool equal = bool(now.resources) == bool(was.resources) &&
               (!now.resources || codec::equal(now.resources.get(), was.resources.get(), v1::ResourceRequirements::kType));
  if (!equal) errors.forbidden(Path("spec"), "only cpu and memory resources are mutable at pod-level");
}

bool validateOrder(const codec::List<v1::Container>& now, const codec::List<v1::Container>& was, std::string_view list,
                   FieldErrors& errors) {
  Path p = Path("spec").child(list);
  size_t before = errors.size();
  if (now.size() != was.size()) {
    errors.forbidden(p, fmt::format("{} may not be added or removed on resize", list));
  } else {
    for (size_t i = 0; i < was.size(); i++) {
      if (!(now[i].name == was[i].name)) {
        errors.forbidden(p.index(i).child("name"), fmt::format("{} may not be renamed or reordered on resize", list));
      }
    }
  }
  return errors.size() == before;
}

void validateNotRemoved(const codec::List<v1::Container>& now, const codec::List<v1::Container>& was, std::string_view list,
                        FieldErrors& errors) {
  for (size_t i = 0; i < was.size(); i++) {
    Path p = Path("spec").child(list).index(i).child("resources");
    if (removed(now[i].resources.requests, was[i].resources.requests)) {
      errors.forbidden(p.child("requests"), "resource requests cannot be removed");
    }
    if (removed(now[i].resources.limits, was[i].resources.limits)) {
      errors.forbidden(p.child("limits"), "resource limits cannot be removed");
    }
  }
}

void validateInitMutations(v1::PodSpec& now, const v1::PodSpec& was, FieldErrors& errors) {
  for (size_t i = 0; i < now.initContainers.size(); i++) {
    Path p = Path("spec.initContainers").index(i);
    auto& c = now.initContainers[i];
    bool modified = !same(c, was.initContainers[i]);
    bool sidecar = c.restartPolicy && *c.restartPolicy == "Always";
    c = munged(c, was.initContainers[i]);
    if (!same(c, was.initContainers[i])) {
      errors.forbidden(p, "only cpu and memory resources for init or sidecar containers are mutable");
    }
    if (!modified || sidecar) continue;
    for (const auto& policy : c.resizePolicy) {
      if (policy.restartPolicy == "RestartContainer") {
        errors.forbidden(p, "non-sidecar init containers with a resize policy of RestartContainer cannot be resized");
      }
    }
  }
}

// A node that runs the pod and tells no resources of running containers is too old to resize them.
bool nodeCanResize(const v1::Pod& pod) {
  for (const auto& c : pod.status.containerStatuses) {
    if (c.state.running) return bool(c.resources);
  }
  return true;
}

}  // namespace

void keepButEphemeralContainers(v1::Pod& pod, const v1::Pod& old) {
  auto containers = pod.spec.ephemeralContainers;
  pod.spec = old.spec;
  pod.status = old.status;
  keepMeta(pod.metadata, old.metadata);
  pod.spec.ephemeralContainers = std::move(containers);
}

void keepButResources(v1::Pod& pod, const v1::Pod& old) {
  // Other containers are left for validation to refuse.
  if (pod.spec.containers.size() != old.spec.containers.size() || pod.spec.initContainers.size() != old.spec.initContainers.size()) return;
  auto resources = pod.spec.resources;
  auto containers = withResources(pod.spec.containers, old.spec.containers);
  auto initContainers = withResources(pod.spec.initContainers, old.spec.initContainers);
  pod.spec = old.spec;
  pod.status = old.status;
  keepMeta(pod.metadata, old.metadata);
  pod.spec.resources = std::move(resources);
  pod.spec.containers = std::move(containers);
  pod.spec.initContainers = std::move(initContainers);
}

void validateEphemeralContainersUpdate(const v1::Pod& pod, const v1::Pod& old, FieldErrors& errors) {
  if (old.metadata.annotations.contains(kMirror)) {
    errors = {};
    return errors.forbidden(Path("[]"), "static pods do not support ephemeral containers");
  }
  validatePodAndSpecForUpdate(pod, errors);
  validatePodAnnotationUpdates(pod, old, errors);
  Path p("spec.ephemeralContainers");
  for (const auto& was : old.spec.ephemeralContainers) {
    const v1::EphemeralContainer* now = nullptr;
    for (const auto& c : pod.spec.ephemeralContainers) {
      if (c.name == was.name) now = &c;
    }
    if (now == nullptr) {
      errors.forbidden(p, fmt::format("existing ephemeral containers {} may not be removed\n", api::goQuote(was.name)));
    } else if (!codec::equal(now, &was, v1::EphemeralContainer::kType)) {
      errors.forbidden(p, fmt::format("existing ephemeral containers {} may not be changed\n{}", api::goQuote(was.name), goDiff(was, *now)));
    }
  }
}

void validatePodResize(const v1::Pod& pod, const v1::Pod& old, FieldErrors& errors) {
  auto only = [&](std::string_view why) {
    errors = {};
    errors.forbidden(Path("[]"), why);
  };
  if (old.metadata.annotations.contains(kMirror)) return only("static pods cannot be resized");
  if (old.spec.os && old.spec.os->name == "windows") return only("windows pods cannot be resized");
  validatePodAndSpecForUpdate(pod, errors);
  Path spec("spec");
  std::string_view qos = old.status.qosClass.empty() ? resources::qosClass(old.spec) : old.status.qosClass.view();
  if (qos != resources::qosClass(pod.spec)) errors.invalid(spec, pod.status.qosClass.view(), "Pod QOS Class may not change as a result of resizing");
  if (!nodeCanResize(old)) errors.forbidden(spec, "Pod running on node without support for resize");
  v1::PodSpec rest = pod.spec;
  if (hasPodLevel(old.spec) || hasPodLevel(pod.spec)) validatePodLevel(rest, old.spec, errors);
  if (!old.status.nodeAllocatableResourceClaimStatuses.empty()) {
    errors.forbidden(spec, "pods with node allocatable resource claims cannot be resized");
  }
  bool ordered = validateOrder(pod.spec.containers, old.spec.containers, "containers", errors);
  ordered = validateOrder(pod.spec.initContainers, old.spec.initContainers, "initContainers", errors) && ordered;
  if (!ordered) return;
  validateNotRemoved(pod.spec.initContainers, old.spec.initContainers, "initContainers", errors);
  validateNotRemoved(pod.spec.containers, old.spec.containers, "containers", errors);
  for (size_t i = 0; i < rest.containers.size(); i++) {
    rest.containers[i] = munged(rest.containers[i], old.spec.containers[i]);
    if (!same(rest.containers[i], old.spec.containers[i])) errors.forbidden(spec, kMutable);
  }
  validateInitMutations(rest, old.spec, errors);
  if (errors.empty() && !codec::equal(&rest, &old.spec, v1::PodSpec::kType)) errors.forbidden(spec, kMutable);
}

}  // namespace km::registry
