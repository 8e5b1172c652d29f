// A write against the quotas of its namespace, and the sum of what a namespace uses.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/object.h"
#include "api/types/fwd.h"
#include "resources/usage.h"

namespace km::resources {

// Adds what a write uses to status.used of the quotas that it falls under, all of one namespace. Returns why it is refused, or ""; then
// quotas are as they were. `old` is null for a create. Only writes that the evaluator is concerned with.
std::string charge(std::vector<api::core_v1::ResourceQuota>& quotas, const Evaluator& evaluator, std::string_view subresource,
                   const api::Object& o, const api::Object* old, WallTime now);

// A kind of the namespace and its objects.
struct Population {
  const Evaluator* evaluator;
  std::function<std::vector<api::ObjectPtr>()> objects;
};

// What the objects use of the quota's spec.hard; only names that a kind is counted under. Asks only for objects of kinds that matter.
ResourceList used(const api::core_v1::ResourceQuota& quota, std::span<const Population> kinds, WallTime now);

}  // namespace km::resources
