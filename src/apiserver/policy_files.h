// The files of policy/, embedded.
#pragma once

#include <string_view>

namespace km::apiserver {

std::string_view rbacPolicyText();
std::string_view bootstrapObjectLines();  // one JSON object a line

}  // namespace km::apiserver
