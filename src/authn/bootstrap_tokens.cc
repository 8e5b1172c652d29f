#include "authn/bootstrap_tokens.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <cctype>

#include "api/bootstrap_token.h"
#include "api/types/core_v1.h"
#include "base/log.h"
#include "base/strings.h"

namespace km::authn {
namespace {

constexpr size_t kIdLength = 6, kSecretLength = 16;

bool isPart(std::string_view s) {
  return std::all_of(s.begin(), s.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z'); });
}

bool sameSecret(std::string_view a, std::string_view b) { return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0; }

}  // namespace

Result<std::vector<std::string>> bootstrapGroups(std::string_view extra) {
  constexpr std::string_view kGroup = "system:bootstrappers";
  std::vector<std::string> out = {std::string(kGroup)};
  if (extra.empty()) return out;
  for (std::string_view g : split(extra, ',')) {
    std::string_view rest = g.starts_with("system:bootstrappers:") ? g.substr(kGroup.size() + 1) : std::string_view();
    bool good = !rest.empty() && rest.size() <= 256 && isPart(rest.substr(rest.size() - 1)) &&
                std::all_of(rest.begin(), rest.end(), [](char c) { return isPart(std::string_view(&c, 1)) || c == ':' || c == '-'; });
    if (!good) return errors::failed("bootstrap group " + quote(g) + " is invalid (must match \\Asystem:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]\\z)");
    out.emplace_back(g);
  }
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

Result<std::optional<UserInfo>> BootstrapTokens::authenticate(std::string_view token, const std::vector<std::string>&) const {
  std::optional<UserInfo> nobody;
  if (token.size() != kIdLength + 1 + kSecretLength || token[kIdLength] != '.') return nobody;
  std::string_view id = token.substr(0, kIdLength), given = token.substr(kIdLength + 1);
  if (!isPart(id) || !isPart(given)) return nobody;
  std::string name = api::bootstrapTokenName(id);
  api::ObjectPtr object = secret_(name);
  auto refuse = [&](std::string_view why) {
    KM_VLOG(3, "bootstrap token of the secret {}: {}", name, why);
    return nobody;
  };
  if (!object) return refuse("there is none");
  const auto& s = object->as<api::core_v1::Secret>();
  auto field = api::bootstrapTokenField;
  if (s.metadata.deletionTimestamp) return refuse("is being deleted");
  if (s.type != api::kBootstrapTokenType) return refuse("has another type");
  if (field(s, "token-secret").empty() || !sameSecret(field(s, "token-secret"), given)) return refuse("does not match");
  if (field(s, "token-id") != id) return refuse("is of another id");
  if (auto left = api::bootstrapTokenSecondsLeft(s, clock_.now()); left && *left <= 0) return refuse("has expired");
  if (field(s, "usage-bootstrap-authentication") != "true") return refuse("is not for authentication");
  auto groups = bootstrapGroups(field(s, "auth-extra-groups"));
  if (!groups.ok()) return refuse(groups.status().message());
  UserInfo u;
  u.name = "system:bootstrap:" + std::string(id);
  u.groups = std::move(*groups);
  return std::optional<UserInfo>(std::move(u));
}

}  // namespace km::authn
