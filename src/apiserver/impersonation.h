// Impersonation: a request that asks to be another user's. Upstream's constrained modes are tried before the
// old one: each asks for the right to impersonate that user in the mode, and to do this very request so.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "apiserver/request_info.h"
#include "authn/user.h"
#include "authz/authorizer.h"
#include "base/result.h"
#include "http/message.h"

namespace km::apiserver {

// The attributes of a request, for an authorizer. Views into `user` and `info`.
authz::Attributes attributesOf(const authn::UserInfo& user, const RequestInfo& info);

// Which mode served a user last: it is tried first. Lives as long as the server.
class ImpersonationModes {
 public:
  std::optional<std::string> last(const std::string& user) const;
  void remember(const std::string& user, std::string_view mode);

 private:
  mutable std::mutex lock_;
  std::map<std::string, std::string, std::less<>> last_;
};

// Who the request is to be; nothing if its headers do not ask. 400 if they make no sense, 403 if the user may
// not.
Result<std::optional<authn::UserInfo>> impersonate(const http::Request& request, const RequestInfo& info,
                                                   const authn::UserInfo& user,
                                                   const authz::Authorizer& authorizer,
                                                   ImpersonationModes& modes);

}  // namespace km::apiserver
