#include "apiserver/api_groups.h"

#include <algorithm>
#include <iterator>

namespace km::apiserver {
namespace {

// recorded/bootstrap-objects.json, recorded/discovery
constexpr ApiGroup kGroups[] = {
    {"", 18000, 1},
    {"apiregistration.k8s.io", 0, 0},  // the aggregator's own: registers none of its versions
    {"apps", 17800, 15},
    {"events.k8s.io", 17750, 15},
    {"authentication.k8s.io", 17700, 15},
    {"authorization.k8s.io", 17600, 15},
    {"autoscaling", 17500, 15},
    {"batch", 17400, 15},
    {"certificates.k8s.io", 17300, 15},
    {"networking.k8s.io", 17200, 15},
    {"policy", 17100, 15},
    {"rbac.authorization.k8s.io", 17000, 15},
    {"storage.k8s.io", 16800, 15},
    {"admissionregistration.k8s.io", 16700, 15},
    {"apiextensions.k8s.io", 16700, 15},
    {"scheduling.k8s.io", 16600, 15},
    {"coordination.k8s.io", 16500, 15},
    {"node.k8s.io", 16300, 15},
    {"discovery.k8s.io", 16200, 15},
    {"resource.k8s.io", 16200, 21},
    {"flowcontrol.apiserver.k8s.io", 16100, 21},
};

}  // namespace

std::span<const ApiGroup> apiGroups() {
  return kGroups;
}

ApiGroup apiGroup(std::string_view name) {
  auto row = std::find_if(std::begin(kGroups), std::end(kGroups), [&](const ApiGroup& g) { return g.name == name; });
  return row == std::end(kGroups) ? ApiGroup{name, 1000, 15} : *row;
}

}  // namespace km::apiserver
