// The built-in groups in the order in which discovery shows them, and the priorities that upstream's aggregator registers them with.
#pragma once

#include <span>
#include <string_view>

namespace km::apiserver {

struct ApiGroup {
  std::string_view name;
  int priority;         // groupPriorityMinimum of the group's APIServices
  int versionPriority;  // of its v1
};

// All but the core group come in discovery's order. A served group that has no row comes after them.
std::span<const ApiGroup> apiGroups();
// The row of a group; for a group without one, priorities below all others.
ApiGroup apiGroup(std::string_view name);

}  // namespace km::apiserver
