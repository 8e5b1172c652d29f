#include "authn/authenticator.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "base/files.h"

namespace km::authn {
namespace {

// One line of CSV with quotes.
std::vector<std::string> csvFields(std::string_view line) {
  std::vector<std::string> out(1);
  bool quoted = false;
  for (size_t i = 0; i < line.size(); i++) {
    char c = line[i];
    if (quoted) {
      if (c == '"' && i + 1 < line.size() && line[i + 1] == '"') {
        out.back() += '"';
        i++;
      } else if (c == '"') {
        quoted = false;
      } else {
        out.back() += c;
      }
    } else if (c == '"') {
      quoted = true;
    } else if (c == ',') {
      out.emplace_back();
    } else {
      out.back() += c;
    }
  }
  for (std::string& s : out) {
    while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.erase(s.begin());
    while (!s.empty() && (s.back() == ' ' || s.back() == '\r')) s.pop_back();
  }
  return out;
}

bool intersects(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  return std::any_of(a.begin(), a.end(),
                     [&](const std::string& x) { return std::find(b.begin(), b.end(), x) != b.end(); });
}

UserInfo withAuthenticated(UserInfo u) {
  if (!u.in(kAllAuthenticated)) u.groups.emplace_back(kAllAuthenticated);
  return u;
}

}  // namespace

Result<std::unique_ptr<TokenFile>> TokenFile::load(const std::string& path) {
  KM_ASSIGN(std::string text, readFile(path));
  return parse(text);
}

Result<std::unique_ptr<TokenFile>> TokenFile::parse(std::string_view csv) {
  auto file = std::make_unique<TokenFile>();
  size_t number = 0;
  while (!csv.empty()) {
    size_t end = csv.find('\n');
    std::string_view line = csv.substr(0, end);
    csv = end == std::string_view::npos ? std::string_view() : csv.substr(end + 1);
    number++;
    if (line.empty() || line[0] == '#') continue;
    auto fields = csvFields(line);
    if (fields.size() < 3) {
      return errors::failed(fmt::format(
          "token file line {}: a line has at least 3 columns (token, user name, user uid), found {}", number,
          fields.size()));
    }
    if (fields[0].empty()) continue;
    UserInfo u;
    u.name = fields[1];
    u.uid = fields[2];
    if (fields.size() >= 4 && !fields[3].empty()) {
      std::string_view groups = fields[3];
      for (;;) {
        size_t comma = groups.find(',');
        u.groups.emplace_back(groups.substr(0, comma));
        if (comma == std::string_view::npos) break;
        groups.remove_prefix(comma + 1);
      }
    }
    file->users_[fields[0]] = std::move(u);
  }
  return file;
}

Result<std::optional<UserInfo>> TokenFile::authenticate(std::string_view token,
                                                        const std::vector<std::string>&) const {
  auto it = users_.find(std::string(token));
  if (it == users_.end()) return std::optional<UserInfo>();
  return std::optional<UserInfo>(it->second);
}

Result<std::optional<UserInfo>> StaticTokens::authenticate(std::string_view token,
                                                           const std::vector<std::string>&) const {
  auto it = users_.find(std::string(token));
  if (it == users_.end()) return std::optional<UserInfo>();
  return std::optional<UserInfo>(it->second);
}

ServiceAccountTokens::ServiceAccountTokens(pki::TokenVerifier verifier, std::vector<std::string> issuers,
                                           std::vector<std::string> audiences,
                                           const ServiceAccountLookup& lookup, Clock& clock)
    : verifier_(std::move(verifier)),
      issuers_(std::move(issuers)),
      audiences_(std::move(audiences)),
      lookup_(lookup),
      clock_(clock) {}

namespace {

// Is the object that a token is bound to still the same one? `what` as upstream names it: "pod", "secret",
// "node".
Status stillBound(const pki::ObjectRef& ref, const std::optional<std::string>& uid, std::string_view what) {
  if (!uid) return errors::unauthorized("service account token has been invalidated");
  if (ref.uid.empty() || *uid == ref.uid) return {};
  return errors::unauthorized(
      fmt::format("{0} UID ({1}) does not match service account {0} ref claim ({2})", what, *uid, ref.uid));
}

}  // namespace

Status ServiceAccountTokens::stillThere(const pki::TokenClaims& c) const {
  auto account = lookup_.serviceAccount(c.namespaceName, c.serviceAccount.name);
  if (!account)
    return errors::unauthorized(fmt::format("serviceaccounts \"{}\" not found", c.serviceAccount.name));
  if (*account != c.serviceAccount.uid) {
    return errors::unauthorized(
        fmt::format("service account UID ({}) does not match claim ({})", *account, c.serviceAccount.uid));
  }
  if (c.secret) KM_TRY(stillBound(*c.secret, lookup_.secret(c.namespaceName, c.secret->name), "secret"));
  if (c.pod) KM_TRY(stillBound(*c.pod, lookup_.pod(c.namespaceName, c.pod->name), "pod"));
  // A pod's token tells its node, and is not bound to it.
  if (c.node && !c.pod) KM_TRY(stillBound(*c.node, lookup_.node(c.node->name), "node"));
  return {};
}

Result<std::optional<UserInfo>> ServiceAccountTokens::authenticate(
    std::string_view token, const std::vector<std::string>& audiences) const {
  std::string issuer = pki::unverifiedIssuer(token);
  bool ours =
      issuer == pki::kLegacyIssuer || std::find(issuers_.begin(), issuers_.end(), issuer) != issuers_.end();
  if (!ours) return std::optional<UserInfo>();
  KM_ASSIGN(pki::TokenClaims c, verifier_.verify(token));
  if (!c.legacy) {
    KM_TRY(pki::checkTimes(c, clock_.now()));
    if (!intersects(c.audiences, audiences.empty() ? audiences_ : audiences)) {
      return errors::unauthorized(
          fmt::format("token audiences {} is invalid for the target audiences", fmt::join(c.audiences, ",")));
    }
  }
  KM_TRY(stillThere(c));
  UserInfo u;
  u.name = fmt::format("{}{}:{}", kServiceAccountPrefix, c.namespaceName, c.serviceAccount.name);
  u.uid = c.serviceAccount.uid;
  u.groups = {"system:serviceaccounts", "system:serviceaccounts:" + c.namespaceName};
  if (!c.id.empty()) u.extra["authentication.kubernetes.io/credential-id"] = {"JTI=" + c.id};
  if (c.pod) {
    u.extra["authentication.kubernetes.io/pod-name"] = {c.pod->name};
    u.extra["authentication.kubernetes.io/pod-uid"] = {c.pod->uid};
  }
  if (c.node) {
    u.extra["authentication.kubernetes.io/node-name"] = {c.node->name};
    u.extra["authentication.kubernetes.io/node-uid"] = {c.node->uid};
  }
  return std::optional<UserInfo>(std::move(u));
}

Result<std::optional<UserInfo>> Authenticator::authenticateToken(
    std::string_view token, const std::vector<std::string>& audiences) const {
  Status first;
  for (const auto& method : tokens_) {
    auto r = method->authenticate(token, audiences);
    if (!r.ok()) {
      if (first.ok()) first = r.status();
    } else if (*r) {
      return std::optional<UserInfo>(withAuthenticated(std::move(**r)));
    }
  }
  if (!first.ok()) return first;
  return std::optional<UserInfo>();
}

namespace {

// "Bearer TOKEN", whatever follows; "" for anything else. A second space before the token makes it none, of
// which the client is told.
std::string_view bearerToken(std::string_view header, std::vector<std::string>* warnings) {
  while (!header.empty() && header.front() == ' ') header.remove_prefix(1);
  while (!header.empty() && header.back() == ' ') header.remove_suffix(1);
  constexpr std::string_view kScheme = "bearer";
  bool bearer = header.size() > kScheme.size() && header[kScheme.size()] == ' ' &&
                std::equal(kScheme.begin(), kScheme.end(), header.begin(),
                           [](char a, char b) { return a == std::tolower(static_cast<unsigned char>(b)); });
  if (!bearer) return {};
  header.remove_prefix(kScheme.size() + 1);
  if (header.starts_with(' ') && warnings != nullptr) {
    warnings->emplace_back(
        "the provided Authorization header contains extra space before the bearer token, and is ignored");
  }
  return header.substr(0, header.find(' '));
}

}  // namespace

Result<UserInfo> Authenticator::authenticate(const http::Request& request,
                                             std::vector<std::string>* warnings) const {
  const auto& certificates = request.connection->certificates;
  if (certificates && certificates->verified()) {
    const auto& leaf = certificates->leaf();
    if (!leaf.commonName.empty()) {
      UserInfo u;
      u.name = leaf.commonName;
      u.groups = leaf.organizations;
      return withAuthenticated(std::move(u));
    }
  }
  if (std::string_view token = bearerToken(request.headers.get("authorization"), warnings); !token.empty()) {
    auto user = authenticateToken(token, {});
    if (user.ok() && *user) return std::move(**user);
    return errors::unauthorized();
  }
  if (!anonymous_) return errors::unauthorized();
  UserInfo u;
  u.name = kAnonymous;
  u.groups = {std::string(kAllUnauthenticated)};
  return u;
}

}  // namespace km::authn
