// endpoints-controller: keeps the older Endpoints object of services that select pods.
#pragma once

#include <memory>
#include <vector>

#include "api/types/core_v1.h"
#include "controllers/context.h"
#include "controllers/endpoints/common.h"

namespace km::controllers::endpoints {

using Subsets = codec::List<api::core_v1::EndpointSubset>;

// The subsets of a service: addresses with the same ports together. Pure.
Subsets computeSubsets(const Service& service, const std::vector<PodPtr>& pods);
// Keeps at most 1000 addresses, ready ones first; true if some went.
bool truncate(Subsets& subsets);

std::unique_ptr<Controller> makeEndpoints(Context& context);

}  // namespace km::controllers::endpoints
