// May this user do that? Implementations answer from memory: they stand on every request's path.
#pragma once

#include <string>
#include <string_view>

#include "authn/user.h"

namespace km::authz {

// What is asked for; views live as long as the call.
struct Attributes {
  const authn::UserInfo* user = nullptr;
  std::string_view verb;  // "get", "list", ...; for a non-resource request the HTTP method in lower case
  bool isResource = false;
  std::string_view group;
  std::string_view version;
  std::string_view resource;
  std::string_view subresource;
  std::string_view ns;
  std::string_view name;
  std::string_view path;  // of a non-resource request
  std::string_view fieldSelector;
};

enum class Decision { kAllow, kDeny, kNoOpinion };

struct Answer {
  Decision decision = Decision::kNoOpinion;
  std::string reason;  // why allowed, or why not
};

class Authorizer {
 public:
  virtual ~Authorizer() = default;
  virtual Answer authorize(const Attributes& a) const = 0;
};

}  // namespace km::authz
