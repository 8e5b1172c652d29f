// Who makes a request.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace km::authn {

inline constexpr std::string_view kAnonymous = "system:anonymous";
inline constexpr std::string_view kAllAuthenticated = "system:authenticated";
inline constexpr std::string_view kAllUnauthenticated = "system:unauthenticated";
inline constexpr std::string_view kMasters = "system:masters";
inline constexpr std::string_view kServiceAccountPrefix = "system:serviceaccount:";
inline constexpr std::string_view kNodes = "system:nodes";
inline constexpr std::string_view kNodePrefix = "system:node:";

struct UserInfo {
  std::string name;
  std::string uid;
  std::vector<std::string> groups;
  std::map<std::string, std::vector<std::string>> extra;

  bool in(std::string_view group) const { return std::find(groups.begin(), groups.end(), group) != groups.end(); }
};

}  // namespace km::authn
