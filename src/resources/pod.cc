#include "resources/pod.h"

#include <functional>
#include <set>
#include <string>

#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"

namespace km::resources {

namespace v1 = api::core_v1;

bool isSidecar(const v1::Container& c) { return c.restartPolicy && *c.restartPolicy == "Always"; }

bool isPodLevelResource(std::string_view name) {
  return name == "cpu" || name == "memory" || name.starts_with("hugepages-");
}

namespace {

// What one container has a claim to.
using OfContainer = std::function<ResourceList(const v1::Container&)>;

ResourceList aggregate(const v1::PodSpec& spec, const OfContainer& amounts) {
  ResourceList sum;
  for (const auto& c : spec.containers) addTo(sum, amounts(c));
  ResourceList sidecars, init;
  for (const auto& c : spec.initContainers) {
    ResourceList here = amounts(c);
    if (isSidecar(c)) {
      addTo(sum, here);
      addTo(sidecars, here);
      here = sidecars;
    } else {
      addTo(here, sidecars);
    }
    maxInto(init, here);
  }
  maxInto(sum, init);
  return sum;
}

ResourceList aggregate(const v1::PodSpec& spec, ResourceList v1::ResourceRequirements::*list) {
  return aggregate(spec, [list](const v1::Container& c) { return c.resources.*list; });
}

// A resize that the node cannot do does not count.
bool isResizeInfeasible(const v1::Pod& pod) {
  for (const auto& c : pod.status.conditions) {
    if (c.type == "PodResizePending") return c.reason == "Infeasible";
  }
  return false;
}

const v1::ContainerStatus* statusOf(const v1::Pod& pod, const v1::Container& c) {
  for (const auto* list : {&pod.status.containerStatuses, &pod.status.initContainerStatuses}) {
    for (const auto& s : *list) {
      if (s.name == c.name) return s.resources ? &s : nullptr;
    }
  }
  return nullptr;
}

// With what containers that were resized have, and are to have.
ResourceList aggregate(const v1::Pod& pod, ResourceList v1::ResourceRequirements::*list, bool allocated) {
  bool infeasible = isResizeInfeasible(pod);
  size_t steps = pod.spec.initContainers.size();
  return aggregate(pod.spec, [&](const v1::Container& c) {
    bool step = steps > 0 && &c >= pod.spec.initContainers.begin() && &c < pod.spec.initContainers.end();
    const v1::ContainerStatus* s = step && !isSidecar(c) ? nullptr : statusOf(pod, c);
    if (s == nullptr) return c.resources.*list;
    ResourceList have = (*s->resources).*list;
    if (allocated) maxInto(have, s->allocatedResources);
    if (!infeasible) maxInto(have, c.resources.*list);
    return have;
  });
}

void takePodLevel(ResourceList& sum, const v1::PodSpec& spec, ResourceList v1::ResourceRequirements::*list) {
  if (!spec.resources) return;
  for (const auto& [name, q] : (*spec.resources).*list) {
    if (isPodLevelResource(name)) sum[name] = q;
  }
}

struct Qos {
  ResourceList requests, limits;
  bool guaranteed = true;

  void take(const v1::ResourceRequirements& r, bool podLevel) {
    for (const auto& [name, q] : r.requests) {
      if ((name == "cpu" || name == "memory") && q.sign() > 0) {
        ResourceList one;
        one[name] = q;
        addTo(requests, one);
      }
    }
    std::set<std::string> found;
    for (const auto& [name, q] : r.limits) {
      if ((name == "cpu" || name == "memory") && q.sign() > 0) {
        found.insert(name.str());
        ResourceList one;
        one[name] = q;
        addTo(limits, one);
      }
    }
    if (found.size() != 2) guaranteed = false;
  }
};

}  // namespace

bool hasPodLevelResources(const v1::PodSpec& spec) {
  if (!spec.resources) return false;
  for (const auto* list : {&spec.resources->requests, &spec.resources->limits}) {
    for (const auto& [name, q] : *list) {
      if (isPodLevelResource(name)) return true;
    }
  }
  return false;
}

ResourceList podRequests(const v1::Pod& pod) {
  ResourceList sum = aggregate(pod, &v1::ResourceRequirements::requests, true);
  takePodLevel(sum, pod.spec, &v1::ResourceRequirements::requests);
  addTo(sum, pod.spec.overhead);
  return sum;
}

ResourceList podLimits(const v1::Pod& pod) {
  ResourceList sum = aggregate(pod, &v1::ResourceRequirements::limits, false);
  takePodLevel(sum, pod.spec, &v1::ResourceRequirements::limits);
  for (const auto& [name, q] : pod.spec.overhead) {
    codec::Quantity* have = sum.find(name);
    if (have != nullptr && !have->isZero()) *have += q;
  }
  return sum;
}

ResourceList containerRequests(const v1::PodSpec& spec) { return aggregate(spec, &v1::ResourceRequirements::requests); }
ResourceList containerLimits(const v1::PodSpec& spec) { return aggregate(spec, &v1::ResourceRequirements::limits); }

std::string_view qosClass(const v1::PodSpec& spec) {
  Qos q;
  bool podLevel = spec.resources && (!spec.resources->requests.empty() || !spec.resources->limits.empty());
  if (podLevel) {
    q.take(*spec.resources, true);
  } else {
    for (const auto& c : spec.containers) q.take(c.resources, false);
    for (const auto& c : spec.initContainers) q.take(c.resources, false);
  }
  if (q.requests.empty() && q.limits.empty()) return "BestEffort";
  if (q.guaranteed) {
    for (const auto& [name, amount] : q.requests) {
      const codec::Quantity* limit = q.limits.find(name);
      if (limit == nullptr || !(*limit == amount)) q.guaranteed = false;
    }
  }
  return q.guaranteed && q.requests.size() == q.limits.size() ? "Guaranteed" : "Burstable";
}

}  // namespace km::resources
