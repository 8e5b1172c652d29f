#include "authn/delegation.h"

#include "api/types/authentication_v1.h"
#include "api/types/authorization_v1.h"
#include "api/types/meta_v1.h"
#include "async/tls.h"
#include "base/strings.h"
#include "codec/json.h"
#include "http/headers.h"

namespace km::authn {
namespace {

using api::authentication_v1::TokenReview;
using api::authorization_v1::SubjectAccessReview;

// Upstream's --authentication-token-webhook-cache-ttl, and those of authorized and unauthorized answers.
constexpr Duration kTokenFor = std::chrono::minutes(2), kAllowedFor = std::chrono::minutes(5), kDeniedFor = std::chrono::seconds(30);
constexpr size_t kMostRemembered = 4096;

Status unauthorized() { return {401, "Unauthorized", "Unauthorized"}; }

UserInfo userOf(const api::authentication_v1::UserInfo& u) {
  UserInfo out;
  out.name = u.username.str();
  out.uid = u.uid.str();
  for (const auto& g : u.groups) out.groups.push_back(g.str());
  for (const auto& [key, values] : u.extra) {
    for (const auto& v : values.items) out.extra[key.str()].push_back(v.str());
  }
  if (!out.in(kAllAuthenticated)) out.groups.emplace_back(kAllAuthenticated);
  return out;
}

}  // namespace

Delegation::Delegation(client::Client& client, Clock& clock, Options options) : client_(client), clock_(clock), options_(options) {}

void Delegation::authenticate(const http::Request& request, std::function<void(Result<UserInfo>)> done) {
  const auto& certificates = request.connection->certificates;
  if (certificates && certificates->verified()) {
    const auto& leaf = certificates->leaf();
    UserInfo u;
    u.name = leaf.commonName;
    u.groups = leaf.organizations;
    u.groups.emplace_back(kAllAuthenticated);
    return done(std::move(u));
  }
  std::string_view given = trimSpace(request.headers.get("authorization"));
  constexpr std::string_view kBearer = "bearer ";
  bool bearer = given.size() > kBearer.size() && toLower(given.substr(0, kBearer.size())) == kBearer;
  if (!bearer || !options_.askAboutTokens) {
    if (!given.empty() || !options_.anonymous) return done(unauthorized());
    UserInfo u;
    u.name = kAnonymous;
    u.groups = {std::string(kAllUnauthenticated)};
    return done(std::move(u));
  }
  std::string token(trimSpace(given.substr(kBearer.size())));
  {
    std::lock_guard lock(mutex_);
    auto it = users_.find(token);
    if (it != users_.end() && it->second.until > clock_.monotonic()) return done(it->second.answer);
  }
  TokenReview review;
  review.spec.token = token;
  client_.create(client::target(TokenReview::kType), api::Object::of(std::move(review)), {},
                 [this, token = std::move(token), done = std::move(done)](Result<api::ObjectPtr> answer) {
                   if (!answer.ok()) return done(answer.status());
                   const auto& status = (*answer)->as<TokenReview>().status;
                   if (!status.authenticated) return done(unauthorized());
                   UserInfo u = userOf(status.user);
                   {
                     std::lock_guard lock(mutex_);
                     if (users_.size() > kMostRemembered) users_.clear();
                     users_[token] = {u, clock_.monotonic() + kTokenFor};
                   }
                   done(std::move(u));
                 });
}

void Delegation::authorize(const UserInfo& user, api::authorization_v1::SubjectAccessReviewSpec what, std::function<void(Status)> done) {
  if (user.in(kMasters)) return done({});
  what.user = user.name;
  what.uid = user.uid;
  for (const auto& g : user.groups) what.groups.push_back(g);
  for (const auto& [key, values] : user.extra) {
    for (const auto& v : values) what.extra[key].items.push_back(v);
  }
  std::string key = codec::toJson(what);
  {
    std::lock_guard lock(mutex_);
    auto it = answers_.find(key);
    if (it != answers_.end() && it->second.until > clock_.monotonic()) return done(it->second.answer);
  }
  SubjectAccessReview review;
  review.spec = std::move(what);
  client_.create(client::target(SubjectAccessReview::kType), api::Object::of(std::move(review)), {},
                 [this, key = std::move(key), done = std::move(done)](Result<api::ObjectPtr> answer) {
                   if (!answer.ok()) return done(errors::internal("Authorization error: " + answer.status().message()));
                   const auto& status = (*answer)->as<SubjectAccessReview>().status;
                   Status result = status.allowed ? Status() : Status(403, "Forbidden", status.reason.str());
                   {
                     std::lock_guard lock(mutex_);
                     if (answers_.size() > kMostRemembered) answers_.clear();
                     answers_[key] = {result, clock_.monotonic() + (status.allowed ? kAllowedFor : kDeniedFor)};
                   }
                   done(std::move(result));
                 });
}

}  // namespace km::authn
