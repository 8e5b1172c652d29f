// Bootstrap tokens: "ID.SECRET" of a Secret bootstrap-token-ID in kube-system, for nodes that have nothing else yet.
#pragma once

#include <functional>

#include "api/object.h"
#include "authn/authenticator.h"

namespace km::authn {

class BootstrapTokens : public TokenAuthenticator {
 public:
  // `secret` finds a Secret of kube-system by its name, or null. Any thread.
  using Find = std::function<api::ObjectPtr(std::string_view name)>;
  BootstrapTokens(Find secret, Clock& clock) : secret_(std::move(secret)), clock_(clock) {}
  // system:bootstrap:ID, in system:bootstrappers and the groups that the Secret adds. What is wrong with a token is no error: another
  // method may know it.
  Result<std::optional<UserInfo>> authenticate(std::string_view token, const std::vector<std::string>& audiences) const override;

 private:
  const Find secret_;
  Clock& clock_;
};

// The Secret's extra groups ("system:bootstrappers:x", comma-separated) after system:bootstrappers; an error names one that is none.
Result<std::vector<std::string>> bootstrapGroups(std::string_view extra);

}  // namespace km::authn
