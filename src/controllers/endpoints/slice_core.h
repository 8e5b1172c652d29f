// From a service, its pods and its slices to the slices to write. Pure.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "api/types/discovery_v1.h"
#include "controllers/endpoints/common.h"

namespace km::controllers::endpoints {

using api::discovery_v1::Endpoint;
using api::discovery_v1::EndpointSlice;
using SlicePtr = std::shared_ptr<const EndpointSlice>;
using NodePtr = std::shared_ptr<const api::core_v1::Node>;

inline constexpr std::string_view kServiceNameLabel = "kubernetes.io/service-name";
inline constexpr std::string_view kManagedByLabel = "endpointslice.kubernetes.io/managed-by";
inline constexpr std::string_view kSliceController = "endpointslice-controller.k8s.io";

struct SliceChanges {
  std::vector<EndpointSlice> create;
  std::vector<EndpointSlice> update;
  std::vector<SlicePtr> remove;
  Status error;  // a pod was left out, since its node is not known: look again
};

// The same for the same ports in any order.
std::string portsKey(const codec::List<api::discovery_v1::EndpointPort>& ports);

// `existing`: the slices of this controller for the service.
SliceChanges reconcileSlices(const Service& service, const std::vector<PodPtr>& pods,
                             const std::function<NodePtr(std::string_view name)>& node,
                             const std::vector<SlicePtr>& existing, size_t maxPerSlice);

}  // namespace km::controllers::endpoints
