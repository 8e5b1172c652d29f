// Tokens and reviews.
#include <fmt/format.h>

#include "api/field_error.h"
#include "api/types/authentication_v1.h"
#include "api/types/authorization_v1.h"
#include "api/types/core_v1.h"
#include "api/types/rbac_v1.h"
#include "apiserver/review_validation.h"
#include "apiserver/server.h"
#include "apiserver/special_subresources.h"
#include "pki/tokens.h"

namespace km::apiserver {
namespace {

using registry::ObjectCallback;
using namespace api::authentication_v1;
using namespace api::authorization_v1;

constexpr int64_t kMinTokenSeconds = 600;
constexpr int64_t kMaxTokenSeconds = int64_t{1} << 32;
constexpr int64_t kDefaultTokenSeconds = 3600;

// The object that a token is to be bound to; its uid, or an error.
Result<pki::ObjectRef> boundTo(ApiServer& server, const std::string& ns, const BoundObjectReference& ref,
                               std::string_view resource) {
  const auto& cache = server.operations().resources().cache("", resource);
  api::ObjectPtr o = cache.get(resource == "nodes" ? "" : ns, ref.name);
  if (!o) return errors::notFound({"", resource}, ref.name);
  if (!ref.uid.empty() && ref.uid != o->meta().uid) {
    return errors::conflict({"", ref.kind}, ref.name,
                            fmt::format("the UID in the bound object reference ({}) does not match the UID "
                                        "in record. The object might have been "
                                        "deleted and then recreated",
                                        ref.uid));
  }
  return pki::ObjectRef{ref.name.str(), o->meta().uid.str()};
}

Result<api::ObjectPtr> makeToken(ApiServer& server, Call& call, api::MutableObject o) {
  auto& request = o->as<TokenRequest>();
  if (server.options().serviceAccountKeys.empty())
    return errors::notFound({"", "serviceaccounts/token"}, call.name);
  api::FieldErrors wrong;
  if (!request.metadata.name.empty() && request.metadata.name != call.name) {
    wrong.invalid(api::Path("metadata.name"), request.metadata.name.view(), "must match the service account name if specified");
  }
  KM_TRY(wrong.toStatus("authentication.k8s.io", "TokenRequest", call.name));
  api::ObjectPtr account =
      server.operations().resources().cache("", "serviceaccounts").get(call.ns, call.name);
  if (!account) return errors::notFound({"", "serviceaccounts"}, call.name);
  if (!request.metadata.uid.empty() && request.metadata.uid != account->meta().uid) {
    return errors::conflict(
        {"authentication.k8s.io", "TokenRequest"}, call.name,
        fmt::format("the UID in the token request ({}) does not match the UID of the service account ({})",
                    request.metadata.uid, account->meta().uid));
  }
  int64_t seconds = request.spec.expirationSeconds.value_or(kDefaultTokenSeconds);
  api::FieldErrors bad;
  if (seconds < kMinTokenSeconds)
    bad.invalid(api::Path("spec.expirationSeconds"), seconds,
                "may not specify a duration less than 10 minutes");
  if (seconds > kMaxTokenSeconds)
    bad.invalid(api::Path("spec.expirationSeconds"), seconds,
                "may not specify a duration larger than 2^32 seconds");
  KM_TRY(bad.toStatus("authentication.k8s.io", "TokenRequest", ""));
  request.spec.expirationSeconds = seconds;
  if (request.spec.audiences.empty()) {
    for (const std::string& a : server.options().apiAudiences) request.spec.audiences.push_back(a);
  }
  std::vector<std::string> audiences;
  for (const auto& a : request.spec.audiences) audiences.push_back(a.str());
  WallTime now = server.operations().clock().now();
  // The kubelet's tokens are renewed in time, so old clients that do not reload get a year of grace with
  // warnings.
  bool forApi = audiences == server.options().apiAudiences;
  bool extended = seconds == 3607 && request.spec.boundObjectRef && forApi;
  int64_t valid = extended ? 365 * 24 * 3600 : seconds;
  pki::TokenClaims claims = pki::boundClaims(server.options().serviceAccountIssuers[0], call.ns,
                                             {call.name, account->meta().uid.str()}, audiences, now, valid);
  if (extended) claims.warnAfter = now.seconds + seconds;
  if (request.spec.boundObjectRef) {
    const auto& ref = *request.spec.boundObjectRef;
    size_t slash = ref.apiVersion.view().find('/');
    if (slash != std::string_view::npos) {
      return errors::badRequest(
          fmt::format("cannot bind token to object of type {}, Kind={}", ref.apiVersion, ref.kind));
    }
    if (ref.kind == "Pod") {
      KM_ASSIGN(claims.pod, boundTo(server, call.ns, ref, "pods"));
      api::ObjectPtr pod = server.operations().resources().cache("", "pods").get(call.ns, ref.name);
      if (pod && pod->as<api::core_v1::Pod>().spec.serviceAccountName != call.name) {
        return errors::badRequest(fmt::format(
            "cannot bind token for serviceaccount {} to pod running with different serviceaccount name.",
            api::goQuote(call.name)));
      }
      if (pod && !pod->as<api::core_v1::Pod>().spec.nodeName.empty()) {
        std::string node = pod->as<api::core_v1::Pod>().spec.nodeName.str();
        api::ObjectPtr n = server.operations().resources().cache("", "nodes").get("", node);
        claims.node = pki::ObjectRef{node, n ? n->meta().uid.str() : ""};
      }
    } else if (ref.kind == "Secret") {
      KM_ASSIGN(claims.secret, boundTo(server, call.ns, ref, "secrets"));
    } else if (ref.kind == "Node") {
      KM_ASSIGN(claims.node, boundTo(server, call.ns, ref, "nodes"));
    } else {
      return errors::badRequest(
          fmt::format("cannot bind token to object of type /{}, Kind={}", ref.apiVersion, ref.kind));
    }
  }
  KM_ASSIGN(std::string token, pki::signToken(server.options().serviceAccountKeys[0], claims));
  request.status.token = token;
  request.status.expirationTimestamp = codec::Time(now.seconds + seconds);
  request.metadata.name = call.name;
  request.metadata.namespace_ = call.ns;
  request.metadata.uid = account->meta().uid;
  if (!call.dryRun) request.metadata.creationTimestamp = codec::Time(now);
  return api::ObjectPtr(std::move(o));
}

Result<api::ObjectPtr> reviewToken(ApiServer& server, api::MutableObject o) {
  auto& review = o->as<TokenReview>();
  if (review.spec.token.empty())
    return errors::badRequest("token is required for TokenReview in authentication");
  std::vector<std::string> audiences;
  for (const auto& a : review.spec.audiences) audiences.push_back(a.str());
  auto user = server.authenticator().authenticateToken(review.spec.token, audiences);
  review.status = {};
  if (!user.ok()) {
    review.status.error = fmt::format("[invalid bearer token, {}]", user.status().message());
    return api::ObjectPtr(std::move(o));
  }
  if (!*user) review.status.error = "invalid bearer token";
  if (*user) {
    const authn::UserInfo& u = **user;
    review.status.authenticated = true;
    review.status.user.username = u.name;
    review.status.user.uid = u.uid;
    for (const std::string& g : u.groups) review.status.user.groups.push_back(g);
    for (const auto& [key, values] : u.extra) {
      for (const std::string& v : values) review.status.user.extra[key].items.push_back(v);
    }
    for (const std::string& a : audiences.empty() ? server.options().apiAudiences : audiences)
      review.status.audiences.push_back(a);
  }
  return api::ObjectPtr(std::move(o));
}

// Fills the status of an access review for a user.
template <typename Spec>
void decide(ApiServer& server, const authn::UserInfo& user, const Spec& spec,
            SubjectAccessReviewStatus& status) {
  authz::Attributes a;
  a.user = &user;
  if (spec.resourceAttributes) {
    const auto& r = *spec.resourceAttributes;
    a.isResource = true;
    a.verb = r.verb;
    a.group = r.group;
    a.version = r.version;
    a.resource = r.resource;
    a.subresource = r.subresource;
    a.ns = r.namespace_;
    a.name = r.name;
  } else if (spec.nonResourceAttributes) {
    a.verb = spec.nonResourceAttributes->verb;
    a.path = spec.nonResourceAttributes->path;
  }
  authz::Answer answer = server.authorizer().authorize(a);
  status = {};
  status.allowed = answer.decision == authz::Decision::kAllow;
  status.denied = answer.decision == authz::Decision::kDeny;
  status.reason = answer.reason;
}

authn::UserInfo userOf(const SubjectAccessReviewSpec& spec) {
  authn::UserInfo u;
  u.name = spec.user.str();
  u.uid = spec.uid.str();
  for (const auto& g : spec.groups) u.groups.push_back(g.str());
  return u;
}

template <typename T>
Result<api::ObjectPtr> reviewAccess(ApiServer& server, const Call& call, api::MutableObject o) {
  auto& review = o->as<T>();
  KM_TRY(checkAccessReview(*o));
  if constexpr (requires { review.spec.user; }) {
    decide(server, userOf(review.spec), review.spec, review.status);
  } else {
    decide(server, call.user, review.spec, review.status);
  }
  return api::ObjectPtr(std::move(o));
}

Result<api::ObjectPtr> reviewRules(ApiServer& server, const Call& call, api::MutableObject o) {
  auto& review = o->as<SelfSubjectRulesReview>();
  if (review.spec.namespace_.empty()) return errors::badRequest("no namespace on request");
  review.status = {};
  authz::ObjectList keep;
  std::string error;
  for (const api::rbac_v1::PolicyRule* r :
       server.rbac().rulesFor(call.user, review.spec.namespace_, keep, &error)) {
    if (!r->nonResourceURLs.empty()) {
      auto& n = review.status.nonResourceRules.add();
      n.verbs = r->verbs;
      n.nonResourceURLs = r->nonResourceURLs;
    } else {
      auto& n = review.status.resourceRules.add();
      n.verbs = r->verbs;
      n.apiGroups = r->apiGroups;
      n.resources = r->resources;
      n.resourceNames = r->resourceNames;
    }
  }
  review.status.evaluationError = error;
  return api::ObjectPtr(std::move(o));
}

Result<api::ObjectPtr> reviewSelf(const Call& call, api::MutableObject o) {
  auto& review = o->as<SelfSubjectReview>();
  review = SelfSubjectReview();  // nothing of what was sent comes back
  review.status.userInfo.username = call.user.name;
  review.status.userInfo.uid = call.user.uid;
  for (const std::string& g : call.user.groups) review.status.userInfo.groups.push_back(g);
  for (const auto& [key, values] : call.user.extra) {
    for (const std::string& v : values) review.status.userInfo.extra[key].items.push_back(v);
  }
  review.metadata.creationTimestamp = codec::Time(Clock::system().now());
  return api::ObjectPtr(std::move(o));
}

}  // namespace

void addTokens(ApiServer& server) {
  server.subresources().add("", "serviceaccounts", "token",
                            {&TokenRequest::kType,
                             {},
                             [&server](CallPtr call, api::MutableObject o, ObjectCallback done) {
                               server.operations().admitSubresource(call, o, [&server, call, o, done = std::move(done)](Status s) {
                                 if (!s.ok()) return done(std::move(s));
                                 // A signature takes a millisecond, in which a connection's thread serves dozens of requests.
                                 server.pool().post([&server, call, o, done] { done(makeToken(server, *call, o)); });
                               });
                             },
                             {}});
}

void addReviews(ApiServer& server) {
  auto add = [&](std::string_view group, std::string_view resource, const codec::TypeInfo& type,
                 auto review) {
    server.subresources().add(group, resource, "",
                              {&type,
                               {},
                               [review](CallPtr call, api::MutableObject o, ObjectCallback done) {
                                 done(review(*call, std::move(o)));
                               },
                               {}});
  };
  add("authentication.k8s.io", "tokenreviews", TokenReview::kType,
      [&server](const Call&, api::MutableObject o) { return reviewToken(server, std::move(o)); });
  add("authentication.k8s.io", "selfsubjectreviews", SelfSubjectReview::kType,
      [](const Call& c, api::MutableObject o) { return reviewSelf(c, std::move(o)); });
  add("authorization.k8s.io", "subjectaccessreviews", SubjectAccessReview::kType,
      [&server](const Call& c, api::MutableObject o) {
        return reviewAccess<SubjectAccessReview>(server, c, std::move(o));
      });
  add("authorization.k8s.io", "localsubjectaccessreviews", LocalSubjectAccessReview::kType,
      [&server](const Call& c, api::MutableObject o) {
        return reviewAccess<LocalSubjectAccessReview>(server, c, std::move(o));
      });
  add("authorization.k8s.io", "selfsubjectaccessreviews", SelfSubjectAccessReview::kType,
      [&server](const Call& c, api::MutableObject o) {
        return reviewAccess<SelfSubjectAccessReview>(server, c, std::move(o));
      });
  add("authorization.k8s.io", "selfsubjectrulesreviews", SelfSubjectRulesReview::kType,
      [&server](const Call& c, api::MutableObject o) { return reviewRules(server, c, std::move(o)); });
}

// --- wiring: every operation above is reached over HTTP as well -------------------------------------------

void ApiServer::setUpSubresources() {
  addBindings(*this);
  addScales(*this);
  addTokens(*this);
  addReviews(*this);
  for (const auto& [key, ops] : subresources_.all()) {
    size_t first = key.find('/'), second = key.find('/', first + 1);
    std::string group = key.substr(0, first), resource = key.substr(first + 1, second - first - 1),
                sub = key.substr(second + 1);
    handlers_->handleSpecially(group, resource, sub, [this, ops = &ops](HttpCallPtr http, CallPtr call) {
      handlers_->subresource(http, call, *ops);
    });
  }
}

}  // namespace km::apiserver
