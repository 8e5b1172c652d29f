#include "pki/tokens.h"

#include <set>

#include "base/base64.h"
#include "base/rand.h"
#include "base/strings.h"
#include "pki/detail/json.h"
#include "pki/detail/ossl.h"
#include "pki/jws.h"

namespace km::pki {
namespace {

constexpr std::string_view kPrefix = "kubernetes.io/serviceaccount/";

std::string refJson(const ObjectRef& ref) {
  JsonObject out;
  if (!ref.name.empty()) out.text("name", ref.name);
  if (!ref.uid.empty()) out.text("uid", ref.uid);
  return out.str();
}

std::optional<ObjectRef> refAt(const Json& object, std::string_view name) {
  const Json* ref = object.find(name);
  if (!ref || ref->kind != Json::kObject) return std::nullopt;
  return ObjectRef{ref->stringAt("name"), ref->stringAt("uid")};
}

std::string subjectOf(std::string_view namespaceName, const ObjectRef& account) {
  return "system:serviceaccount:" + std::string(namespaceName) + ":" + account.name;
}

std::string kubernetesJson(const TokenClaims& claims) {
  JsonObject out;
  out.text("namespace", claims.namespaceName);
  if (claims.node) out.raw("node", refJson(*claims.node));
  if (claims.pod) out.raw("pod", refJson(*claims.pod));
  if (claims.secret) out.raw("secret", refJson(*claims.secret));
  out.raw("serviceaccount", refJson(claims.serviceAccount));
  if (claims.warnAfter) out.integer("warnafter", *claims.warnAfter);
  return out.str();
}

std::string numberText(const BIGNUM* number, size_t size) {
  std::string bytes(size ? size : BN_num_bytes(number), '\0');
  BN_bn2binpad(number, reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  return base64UrlEncode(bytes);
}

Number numberOf(const Key& key, const char* name) {
  BIGNUM* number = nullptr;
  EVP_PKEY_get_bn_param(key.raw(), name, &number);
  return Number(number);
}

std::string jwk(const Key& key) {
  JsonObject out;
  out.text("use", "sig").text("kty", key.isRsa() ? "RSA" : "EC").text("kid", key.id());
  if (key.isRsa()) {
    Number n = numberOf(key, "n"), e = numberOf(key, "e");
    return out.text("alg", algorithmOf(key))
        .text("n", numberText(n.get(), 0))
        .text("e", numberText(e.get(), 0))
        .str();
  }
  size_t size = (static_cast<size_t>(key.bits()) + 7) / 8;
  Number x = numberOf(key, "qx"), y = numberOf(key, "qy");
  return out.text("crv", "P-" + std::to_string(key.bits()))
      .text("alg", algorithmOf(key))
      .text("x", numberText(x.get(), size))
      .text("y", numberText(y.get(), size))
      .str();
}

}  // namespace

TokenClaims boundClaims(std::string_view issuer, std::string_view namespaceName,
                        const ObjectRef& serviceAccount, std::vector<std::string> audiences, WallTime now,
                        int64_t expirationSeconds) {
  TokenClaims out;
  out.issuer = issuer;
  out.subject = subjectOf(namespaceName, serviceAccount);
  out.id = randomUuid();
  out.audiences = std::move(audiences);
  out.issuedAt = out.notBefore = now.seconds;
  out.expiry = now.seconds + expirationSeconds;
  out.namespaceName = namespaceName;
  out.serviceAccount = serviceAccount;
  return out;
}

TokenClaims legacyClaims(std::string_view namespaceName, const ObjectRef& serviceAccount,
                         std::string_view secretName) {
  TokenClaims out;
  out.legacy = true;
  out.issuer = kLegacyIssuer;
  out.subject = subjectOf(namespaceName, serviceAccount);
  out.namespaceName = namespaceName;
  out.serviceAccount = serviceAccount;
  out.secret = ObjectRef{std::string(secretName), ""};
  return out;
}

std::string claimsJson(const TokenClaims& claims) {
  JsonObject out;
  if (!claims.audiences.empty()) out.texts("aud", claims.audiences);
  if (claims.expiry) out.integer("exp", *claims.expiry);
  if (claims.issuedAt) out.integer("iat", *claims.issuedAt);
  if (!claims.issuer.empty()) out.text("iss", claims.issuer);
  if (!claims.id.empty()) out.text("jti", claims.id);
  if (claims.legacy) {
    std::string prefix(kPrefix);
    out.text(prefix + "namespace", claims.namespaceName);
    out.text(prefix + "secret.name", claims.secret ? claims.secret->name : std::string());
    out.text(prefix + "service-account.name", claims.serviceAccount.name);
    out.text(prefix + "service-account.uid", claims.serviceAccount.uid);
  } else {
    out.raw("kubernetes.io", kubernetesJson(claims));
  }
  if (claims.notBefore) out.integer("nbf", *claims.notBefore);
  if (!claims.subject.empty()) out.text("sub", claims.subject);
  return out.str();
}

Result<TokenClaims> parseClaims(std::string_view text) {
  auto json = parseJson(text);
  if (!json || json->kind != Json::kObject) return errors::unauthorized("token claims are not a JSON object");
  TokenClaims out;
  out.issuer = json->stringAt("iss");
  out.subject = json->stringAt("sub");
  out.id = json->stringAt("jti");
  if (const Json* aud = json->find("aud")) {
    if (aud->kind == Json::kString) out.audiences.push_back(aud->text);
    if (aud->kind == Json::kObject) return errors::unauthorized("token audience is not a list");
    for (const Json& item : aud->items) {
      if (item.kind != Json::kString) return errors::unauthorized("token audience is not a string");
      out.audiences.push_back(item.text);
    }
  }
  for (auto [name, target] :
       {std::pair{"exp", &out.expiry}, {"iat", &out.issuedAt}, {"nbf", &out.notBefore}}) {
    *target = json->integerAt(name);
    // A time that cannot be read must not count as no limit.
    if (json->find(name) && !*target) return errors::unauthorized("token time is not a number");
  }
  if (const Json* k = json->find("kubernetes.io")) {
    out.namespaceName = k->stringAt("namespace");
    if (auto ref = refAt(*k, "serviceaccount")) out.serviceAccount = *ref;
    out.pod = refAt(*k, "pod");
    out.secret = refAt(*k, "secret");
    out.node = refAt(*k, "node");
    out.warnAfter = k->integerAt("warnafter");
    return out;
  }
  std::string prefix(kPrefix);
  if (json->find(prefix + "service-account.name") == nullptr) return out;
  out.legacy = true;
  out.namespaceName = json->stringAt(prefix + "namespace");
  out.serviceAccount = {json->stringAt(prefix + "service-account.name"),
                        json->stringAt(prefix + "service-account.uid")};
  out.secret = ObjectRef{json->stringAt(prefix + "secret.name"), ""};
  return out;
}

Result<std::string> signToken(const Key& key, const TokenClaims& claims) {
  return signJws(key, claimsJson(claims));
}

std::string unverifiedIssuer(std::string_view token) {
  auto parts = split(token, '.');
  if (parts.size() != 3) return "";
  auto payload = base64UrlDecode(parts[1]);
  auto json = payload ? parseJson(*payload) : std::nullopt;
  return json ? json->stringAt("iss") : "";
}

TokenVerifier::TokenVerifier(std::vector<Key> keys) : keys_(std::move(keys)) {
  for (size_t i = 0; i < keys_.size(); i++) byId_.emplace(keys_[i].id(), i);
}

Result<TokenClaims> TokenVerifier::verify(std::string_view token) const {
  KM_ASSIGN(Jws jws, parseJws(token));
  bool any = false;
  auto attempt = [&](const Key& key) {
    any = true;
    return verifyJws(jws, key);
  };
  bool valid = false;
  if (jws.keyId.empty()) {
    for (const Key& key : keys_) valid = valid || attempt(key);
  } else {
    auto [from, to] = byId_.equal_range(jws.keyId);
    for (auto it = from; it != to; ++it) valid = valid || attempt(keys_[it->second]);
  }
  if (!any) return errors::unauthorized("invalid signature, no keys found");
  if (!valid) return errors::unauthorized("go-jose/go-jose: error in cryptographic primitive");
  return parseClaims(jws.payload);
}

Status checkTimes(const TokenClaims& claims, WallTime now) {
  constexpr int64_t kLeeway = 60;  // seconds, go-jose's default
  if (claims.notBefore && now.seconds + kLeeway < *claims.notBefore) {
    return errors::unauthorized("service account token is not valid yet");
  }
  if (claims.expiry && now.seconds - kLeeway > *claims.expiry) {
    return errors::unauthorized("service account token has expired");
  }
  if (claims.issuedAt && now.seconds + kLeeway < *claims.issuedAt) {
    return errors::unauthorized("service account token is issued in the future");
  }
  return {};
}

std::string jwks(std::span<const Key> keys) {
  std::string out = R"({"keys":[)";
  bool first = true;
  for (const Key& key : keys) {
    if (algorithmOf(key).empty()) continue;
    if (!first) out += ',';
    first = false;
    out += jwk(key);
  }
  return out + "]}";
}

std::string openIdConfiguration(std::string_view issuer, std::string_view jwksUri,
                                std::span<const Key> keys) {
  std::set<std::string> algorithms;
  for (const Key& key : keys) algorithms.emplace(algorithmOf(key));
  algorithms.erase("");
  return JsonObject()
      .text("issuer", issuer)
      .text("jwks_uri", jwksUri)
      .texts("response_types_supported", {"id_token"})
      .texts("subject_types_supported", {"public"})
      .texts("id_token_signing_alg_values_supported", {algorithms.begin(), algorithms.end()})
      .str();
}

}  // namespace km::pki
