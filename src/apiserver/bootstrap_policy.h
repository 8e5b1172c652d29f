// Reads policy/rbac.policy.
#pragma once

#include <string_view>
#include <vector>

#include "api/object.h"

namespace km::apiserver {

// ClusterRoles, Roles, ClusterRoleBindings and RoleBindings, in the order of the file. The text is part of the program: a
// mistake in it ends the process.
std::vector<api::MutableObject> readRbacPolicy(std::string_view text);

}  // namespace km::apiserver
