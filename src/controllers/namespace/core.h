// What the deletion of a namespace found, and the conditions that tell of it. Pure.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "api/types/core_v1.h"
#include "base/clock.h"

namespace km::controllers::nscontroller {

struct Findings {
  std::vector<std::string> errors;          // of deleting content
  std::map<std::string, int> remaining;     // "resource.group" -> objects
  std::map<std::string, int> finalizers;    // finalizer -> objects
};

// Brings the conditions of a namespace that is being deleted up to date; true if any changed. `totals` false: what remains is not
// known yet and counts as nothing.
bool updateConditions(api::core_v1::NamespaceStatus& status, const Findings& findings, bool totals, WallTime now);

}  // namespace km::controllers::nscontroller
