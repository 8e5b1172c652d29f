// Who sent this request? Each method looks at the credentials it knows; the first that knows the user
// answers.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "authn/user.h"
#include "base/clock.h"
#include "base/result.h"
#include "http/message.h"
#include "pki/tokens.h"

namespace km::authn {

// A bearer token that some method knows.
class TokenAuthenticator {
 public:
  virtual ~TokenAuthenticator() = default;
  // The user; nothing if the token is not this method's; an error if it is but is not good. `audiences`: what
  // the token must be for (any of them); empty: the server itself.
  virtual Result<std::optional<UserInfo>> authenticate(std::string_view token,
                                                       const std::vector<std::string>& audiences) const = 0;
};

// --token-auth-file: lines of token,user,uid,"group1,group2".
class TokenFile : public TokenAuthenticator {
 public:
  static Result<std::unique_ptr<TokenFile>> load(const std::string& path);
  static Result<std::unique_ptr<TokenFile>> parse(std::string_view csv);
  Result<std::optional<UserInfo>> authenticate(std::string_view token,
                                               const std::vector<std::string>& audiences) const override;

 private:
  std::unordered_map<std::string, UserInfo> users_;
};

// Tokens of this process's own making, for its parts.
class StaticTokens : public TokenAuthenticator {
 public:
  void add(std::string token, UserInfo user) { users_[std::move(token)] = std::move(user); }
  Result<std::optional<UserInfo>> authenticate(std::string_view token,
                                               const std::vector<std::string>& audiences) const override;

 private:
  std::unordered_map<std::string, UserInfo> users_;
};

// What service-account tokens are checked against: whether the objects they are bound to still exist.
class ServiceAccountLookup {
 public:
  virtual ~ServiceAccountLookup() = default;
  // Each gives the uid of the object, or nothing.
  virtual std::optional<std::string> serviceAccount(std::string_view ns, std::string_view name) const = 0;
  virtual std::optional<std::string> pod(std::string_view ns, std::string_view name) const = 0;
  virtual std::optional<std::string> secret(std::string_view ns, std::string_view name) const = 0;
  virtual std::optional<std::string> node(std::string_view name) const = 0;
};

class ServiceAccountTokens : public TokenAuthenticator {
 public:
  // `issuers`: --service-account-issuer, the first one signs; `audiences`: --api-audiences.
  ServiceAccountTokens(pki::TokenVerifier verifier, std::vector<std::string> issuers,
                       std::vector<std::string> audiences, const ServiceAccountLookup& lookup, Clock& clock);
  Result<std::optional<UserInfo>> authenticate(std::string_view token,
                                               const std::vector<std::string>& audiences) const override;

 private:
  Status stillThere(const pki::TokenClaims& c) const;

  pki::TokenVerifier verifier_;
  std::vector<std::string> issuers_, audiences_;
  const ServiceAccountLookup& lookup_;
  Clock& clock_;
};

// All methods of one server.
class Authenticator {
 public:
  void add(std::unique_ptr<TokenAuthenticator> method) { tokens_.push_back(std::move(method)); }
  void allowAnonymous(bool on) { anonymous_ = on; }

  // The user of a request: by client certificate, else bearer token, else anonymous. 401 if there is none.
  // Adds system:authenticated.
  Result<UserInfo> authenticate(const http::Request& request,
                                std::vector<std::string>* warnings = nullptr) const;
  // A token alone (TokenReview); nothing if no method knows it.
  Result<std::optional<UserInfo>> authenticateToken(std::string_view token,
                                                    const std::vector<std::string>& audiences) const;

 private:
  std::vector<std::unique_ptr<TokenAuthenticator>> tokens_;
  bool anonymous_ = true;
};

}  // namespace km::authn
