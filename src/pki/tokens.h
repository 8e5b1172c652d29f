// Service-account tokens: upstream's claims, signed and verified; the OIDC documents about the keys.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "pki/key.h"

namespace km::pki {

struct ObjectRef {
  std::string name;
  std::string uid;
};

// What a token says. A bound token has expiry and audiences; a legacy one (of a Secret) has neither.
struct TokenClaims {
  std::string issuer;
  std::string subject;  // system:serviceaccount:NAMESPACE:NAME
  std::string id;       // jti
  std::vector<std::string> audiences;
  std::optional<int64_t> expiry, issuedAt, notBefore;  // seconds since 1970

  std::string namespaceName;
  ObjectRef serviceAccount;
  std::optional<ObjectRef> pod, secret, node;
  std::optional<int64_t> warnAfter;
  bool legacy = false;  // the flat "kubernetes.io/serviceaccount/..." claims; `secret` has a name only
};

inline constexpr std::string_view kLegacyIssuer = "kubernetes/serviceaccount";

// The claims of a TokenRequest: subject, times from `now`, a fresh jti, issuer as given. The caller adds
// bindings.
TokenClaims boundClaims(std::string_view issuer, std::string_view namespaceName,
                        const ObjectRef& serviceAccount, std::vector<std::string> audiences, WallTime now,
                        int64_t expirationSeconds);
TokenClaims legacyClaims(std::string_view namespaceName, const ObjectRef& serviceAccount,
                         std::string_view secretName);

// The payload of a token: keys in alphabetical order, as upstream's.
std::string claimsJson(const TokenClaims& claims);
Result<TokenClaims> parseClaims(std::string_view json);

Result<std::string> signToken(const Key& key, const TokenClaims& claims);

// The issuer a token names, unverified: only to choose who is to verify it. "" if it is no token.
std::string unverifiedIssuer(std::string_view token);

// Checks signatures by key id. Immutable; any thread. Times, audiences and whether the objects still exist
// are the caller's to check: checkTimes() and authn.
class TokenVerifier {
 public:
  explicit TokenVerifier(std::vector<Key> keys);
  Result<TokenClaims> verify(std::string_view token) const;
  const std::vector<Key>& keys() const { return keys_; }

 private:
  std::vector<Key> keys_;
  std::multimap<std::string, size_t, std::less<>> byId_;
};

// With upstream's minute of leeway and its wordings ("service account token has expired").
Status checkTimes(const TokenClaims& claims, WallTime now);

// {"keys":[...]} of the public parts, as /openid/v1/jwks; and /.well-known/openid-configuration.
std::string jwks(std::span<const Key> keys);
std::string openIdConfiguration(std::string_view issuer, std::string_view jwksUri, std::span<const Key> keys);

}  // namespace km::pki
