// The strategies of all resources: one table, one row a resource that has rules of its own.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "api/resource.h"
#include "registry/strategy.h"

namespace km::registry {

// The strategy of a resource (of its storage version); the base Strategy where there is no row.
std::unique_ptr<Strategy> makeStrategy(const api::Resource& r);

// Those of its subresources that have rules of their own, by name.
std::map<std::string, std::unique_ptr<Strategy>> makeSubresourceStrategies(const api::Resource& r);

// Where the resource's objects are stored, with the slash at the end: "/registry/pods/", "/registry/services/specs/",
// "/registry/minions/" for nodes.
std::string storePrefix(std::string_view group, std::string_view resource);

// Whether objects of the resource are stored. Reviews, bindings and the like only pass through.
bool isStored(const api::Resource& r);

// The resource in whose version objects are stored: events of events.k8s.io are core events, autoscaling/v1 is stored as v2.
const api::Resource* storageResource(const api::Resource& served);

}  // namespace km::registry
