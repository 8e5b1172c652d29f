// Delegation: a server that is not the API server (a kubelet, a scheduler's health port) lets the API server say who its callers are and
// whether they may: TokenReview and SubjectAccessReview, with upstream's memory of the answers.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>

#include "api/types/fwd.h"
#include "authn/user.h"
#include "base/clock.h"
#include "base/result.h"
#include "client/client.h"
#include "http/message.h"

namespace km::authn {

struct DelegationOptions {
  bool anonymous = false;      // whoever shows nothing is system:anonymous; else 401
  bool askAboutTokens = true;  // a bearer token is shown to the API server
};

// Any thread. Callbacks run before the call returns, or on a thread of the client. Must outlive the calls under way.
class Delegation {
 public:
  using Options = DelegationOptions;
  Delegation(client::Client& client, Clock& clock, Options options = {});

  // By a verified client certificate, else by a bearer token. 401 if neither says who it is.
  void authenticate(const http::Request& request, std::function<void(Result<UserInfo>)> done);
  // `what` holds the attributes; the user is filled in. Ok: it may. 403 with the reason as its message, or why nobody could be asked.
  // Members of system:masters are not asked about.
  void authorize(const UserInfo& user, api::authorization_v1::SubjectAccessReviewSpec what, std::function<void(Status)> done);

 private:
  template <typename T>
  struct Remembered {
    T answer;
    Duration until;
  };
  client::Client& client_;
  Clock& clock_;
  const Options options_;
  std::mutex mutex_;
  std::map<std::string, Remembered<UserInfo>> users_;  // by token
  std::map<std::string, Remembered<Status>> answers_;  // by the review's JSON
};

}  // namespace km::authn
