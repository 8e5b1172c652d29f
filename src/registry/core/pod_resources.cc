#include "registry/core/pod_resources.h"

#include <set>
#include <string>

#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"

namespace km::registry {

namespace v1 = api::core_v1;

bool isSidecar(const v1::Container& c) { return c.restartPolicy && *c.restartPolicy == "Always"; }

bool isPodLevelResource(std::string_view name) {
  return name == "cpu" || name == "memory" || name.starts_with("hugepages-");
}

namespace {

ResourceList aggregate(const v1::PodSpec& spec, ResourceList v1::ResourceRequirements::*list) {
  ResourceList sum;
  for (const auto& c : spec.containers) addTo(sum, c.resources.*list);
  ResourceList sidecars, init;
  for (const auto& c : spec.initContainers) {
    ResourceList here = c.resources.*list;
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

}  // namespace km::registry
