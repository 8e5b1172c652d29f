#include "apiserver/impersonation.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/validation.h"
#include "apiserver/local_client.h"

namespace km::apiserver {
namespace {

using authn::UserInfo;

constexpr std::string_view kExtraPrefix = "impersonate-extra-";
constexpr std::string_view kAuthentication = "authentication.k8s.io";
constexpr size_t kRemembered = 10000;
constexpr size_t kManyChecks = 4;  // from so many on, one that covers them all is tried first

// As the headers ask.
Result<std::optional<UserInfo>> wanted(const http::Headers& headers) {
  UserInfo u;
  u.name = headers.get("impersonate-user");
  u.uid = headers.get("impersonate-uid");
  bool groups = false, extra = false;
  for (const auto& [name, value] : headers) {
    if (name == "impersonate-group") {
      groups = true;
      u.groups.emplace_back(value);
    } else if (name.starts_with(kExtraPrefix)) {
      extra = true;
      std::string key;
      if (!percentDecode(name.substr(kExtraPrefix.size()), false, key))
        key = name.substr(kExtraPrefix.size());
      u.extra[key].emplace_back(value);
    }
  }
  if (!u.name.empty()) return std::optional<UserInfo>(std::move(u));
  if (!u.uid.empty() || groups || extra) {
    return errors::badRequest("requested a uid, groups or extra fields without impersonating a user name");
  }
  return std::optional<UserInfo>();
}

struct ServiceAccountName {
  std::string ns, name;
};

std::optional<ServiceAccountName> serviceAccountOf(std::string_view user) {
  if (!user.starts_with(authn::kServiceAccountPrefix)) return std::nullopt;
  user.remove_prefix(authn::kServiceAccountPrefix.size());
  size_t colon = user.find(':');
  if (colon == std::string_view::npos || user.find(':', colon + 1) != std::string_view::npos)
    return std::nullopt;
  ServiceAccountName n{std::string(user.substr(0, colon)), std::string(user.substr(colon + 1))};
  if (!api::isDns1123Label(n.ns).empty() || !api::isDns1123Subdomain(n.name).empty()) return std::nullopt;
  return n;
}

std::optional<std::string> nodeOf(std::string_view user) {
  if (!user.starts_with(authn::kNodePrefix)) return std::nullopt;
  std::string name(user.substr(authn::kNodePrefix.size()));
  if (!api::isDns1123Subdomain(name).empty()) return std::nullopt;
  return name;
}

bool onlyNamed(const UserInfo& u) {
  return u.uid.empty() && u.groups.empty() && u.extra.empty();
}

void ensureGroup(UserInfo& u, std::string_view group) {
  if (!u.in(group)) u.groups.emplace_back(group);
}

// One mode: which users it is for, and the checks of each thing that is wanted.
class Mode {
 public:
  Mode(std::string_view name, const UserInfo& requestor, const authz::Authorizer& authorizer)
      : name_(name),
        verb_(name.empty() ? "impersonate" : fmt::format("impersonate:{}", name)),
        requestor_(requestor),
        authorizer_(authorizer) {
    if (name == "associated-node") {
      // The check stands for every node that an account's pods run on, so it does not tell them apart.
      requestor_.extra.clear();
    }
  }

  Result<UserInfo> check(const UserInfo& want, const RequestInfo& info) const {
    if (!name_.empty()) {
      std::string verb = fmt::format("impersonate-on:{}:{}", name_, info.verb);
      authz::Attributes a = attributesOf(requestor_, info);
      a.verb = verb;
      KM_TRY(ask(a));
    }
    UserInfo actual = want;
    KM_TRY(checkName(want, actual));
    if (!want.uid.empty()) KM_TRY(ask(attributes(kAuthentication, "uids", want.uid)));
    KM_TRY(checkGroups(want));
    KM_TRY(checkExtra(want));
    if (actual.name == authn::kAnonymous) {
      ensureGroup(actual, authn::kAllUnauthenticated);
    } else if (!actual.in(authn::kAllUnauthenticated)) {
      ensureGroup(actual, authn::kAllAuthenticated);
    }
    return actual;
  }

 private:
  bool constrained() const { return !name_.empty(); }
  std::string_view group() const { return constrained() ? kAuthentication : std::string_view(); }

  authz::Attributes attributes(std::string_view group, std::string_view resource,
                               std::string_view name) const {
    authz::Attributes a;
    a.user = &requestor_;
    a.verb = verb_;
    a.isResource = true;
    a.group = group;
    a.version = "v1";
    a.resource = resource;
    a.name = name;
    return a;
  }

  Status ask(const authz::Attributes& a) const {
    authz::Answer answer = authorizer_.authorize(a);
    if (answer.decision == authz::Decision::kAllow) return {};
    return forbiddenBy(a, answer.reason);
  }

  Status checkName(const UserInfo& want, UserInfo& actual) const {
    authz::Attributes a = attributes(group(), "users", want.name);
    auto node = nodeOf(want.name);
    auto account = serviceAccountOf(want.name);
    if (constrained() && node) {
      a.resource = "nodes";
      a.name = name_ == "associated-node" ? std::string_view("*") : std::string_view(*node);
      actual.groups = {std::string(authn::kNodes)};
    }
    if (account) {
      a.resource = "serviceaccounts";
      a.ns = account->ns;
      a.name = account->name;
      if (want.groups.empty())
        actual.groups = {"system:serviceaccounts", "system:serviceaccounts:" + account->ns};
    }
    return ask(a);
  }

  Status checkGroups(const UserInfo& want) const {
    if (want.groups.empty()) return {};
    authz::Attributes a = attributes(group(), "groups", "");
    if (constrained()) {
      if (want.in("")) return forbiddenBy(a, "impersonating the empty string group is not allowed");
      if (want.in(authn::kMasters)) {
        a.name = authn::kMasters;
        return forbiddenBy(a, "impersonating the system:masters group is not allowed");
      }
      if (want.groups.size() >= kManyChecks && ask(attributes(group(), "groups", "*")).ok()) return {};
    }
    for (const std::string& g : want.groups) KM_TRY(ask(attributes(group(), "groups", g)));
    return {};
  }

  Status checkExtra(const UserInfo& want) const {
    if (want.extra.empty()) return {};
    authz::Attributes a = attributes(kAuthentication, "userextras", "");
    size_t count = 0;
    for (const auto& [key, values] : want.extra) count += std::max<size_t>(values.size(), 1);
    if (constrained()) {
      for (const auto& [key, values] : want.extra) {
        if (std::string why = wrongExtra(key, values); !why.empty()) return forbiddenBy(a, why);
      }
      if (count >= kManyChecks) {
        authz::Attributes all = attributes(kAuthentication, "userextras", "*");
        all.subresource = "*";
        if (ask(all).ok()) return {};
      }
    }
    for (const auto& [key, values] : want.extra) {
      for (const std::string& value : values) {
        a.subresource = key;
        a.name = value;
        KM_TRY(ask(a));
      }
    }
    return {};
  }

  // The constrained modes take keys that are paths with a domain before them only.
  static std::string wrongExtra(const std::string& key, const std::vector<std::string>& values) {
    if (key.empty()) return "impersonating the empty string key in extra is not allowed";
    size_t slash = key.find('/');
    bool path = slash != std::string::npos && slash + 1 < key.size() &&
                api::isDns1123Subdomain(key.substr(0, slash)).empty();
    if (!path) {
      std::string why = slash == std::string::npos || slash == 0
                            ? "must be a domain-prefixed path (such as \"acme.io/foo\")"
                            : "Required value";
      return fmt::format(
          "impersonating an invalid key in extra is not allowed: extra.key: Invalid value: \"{}\": {}", key,
          why);
    }
    if (std::find(values.begin(), values.end(), "") != values.end())
      return "impersonating the empty string value in extra is not allowed";
    return "";
  }

  const std::string name_, verb_;
  UserInfo requestor_;
  const authz::Authorizer& authorizer_;
};

// Which modes are for the wanted user, in the order in which they are tried.
std::vector<std::string_view> modesFor(const UserInfo& want, const UserInfo& requestor) {
  std::vector<std::string_view> out;
  auto node = nodeOf(want.name);
  auto account = serviceAccountOf(want.name);
  if (onlyNamed(want) && node) {
    auto of = requestor.extra.find("authentication.kubernetes.io/node-name");
    bool same = serviceAccountOf(requestor.name) && of != requestor.extra.end() &&
                of->second == std::vector<std::string>{*node};
    if (same) out.push_back("associated-node");
    out.push_back("arbitrary-node");
  }
  if (onlyNamed(want) && account) out.push_back("serviceaccount");
  if (!node && !account) out.push_back("user-info");
  out.push_back("");
  return out;
}

}  // namespace

authz::Attributes attributesOf(const UserInfo& user, const RequestInfo& i) {
  authz::Attributes a;
  a.user = &user;
  a.verb = i.verb;
  a.isResource = i.isResource;
  if (i.isResource) {
    a.group = i.group;
    a.version = i.version;
    a.resource = i.resource;
    a.subresource = i.subresource;
    a.ns = i.ns;
    a.name = i.name;
    a.fieldSelector = i.fieldSelector;
  } else {
    a.path = i.path;
  }
  return a;
}

std::optional<std::string> ImpersonationModes::last(const std::string& user) const {
  std::lock_guard l(lock_);
  auto i = last_.find(user);
  if (i == last_.end()) return std::nullopt;
  return i->second;
}

void ImpersonationModes::remember(const std::string& user, std::string_view mode) {
  std::lock_guard l(lock_);
  if (last_.size() >= kRemembered) last_.clear();
  last_[user] = mode;
}

Result<std::optional<UserInfo>> impersonate(const http::Request& request, const RequestInfo& info,
                                            const UserInfo& user, const authz::Authorizer& authorizer,
                                            ImpersonationModes& modes) {
  KM_ASSIGN(auto want, wanted(request.headers));
  if (!want) return want;
  std::vector<std::string_view> order = modesFor(*want, user);
  auto last = modes.last(user.name);
  if (last) {
    auto i = std::find(order.begin(), order.end(), *last);
    if (i != order.end()) std::rotate(order.begin(), i, i + 1);
  }
  Status first;
  for (std::string_view mode : order) {
    auto actual = Mode(mode, user, authorizer).check(*want, info);
    if (actual.ok()) {
      if (!last || *last != mode) modes.remember(user.name, mode);
      return std::optional<UserInfo>(std::move(*actual));
    }
    if (first.ok()) first = actual.status();
  }
  return first;
}

}  // namespace km::apiserver
