#include "apiserver/server.h"

#include <fmt/format.h>

#include <condition_variable>
#include <future>
#include <mutex>

#include "admission/plugins.h"
#include "api/types/core_v1.h"
#include "apiserver/bootstrap.h"
#include "apiserver/deadlines.h"
#include "apiserver/discovery.h"
#include "apiserver/flow_control.h"
#include "apiserver/impersonation.h"
#include "apiserver/local_client.h"
#include "apiserver/node_authorizer.h"
#include "authn/bootstrap_tokens.h"
#include "apiserver/node_proxy.h"
#include "apiserver/routing.h"
#include "apiserver/server_endpoints.h"
#include "apiserver/special_subresources.h"
#include "base/duration.h"
#include "base/files.h"
#include "base/log.h"
#include "base/rand.h"

namespace km::apiserver {
namespace {

// For the answers that are on their way when the port closes.
constexpr Duration kLastWords = std::chrono::seconds(2);

}  // namespace
// Whether what a service-account token is bound to still exists.
class ApiServer::Lookup : public authn::ServiceAccountLookup {
 public:
  explicit Lookup(const Resources& resources) : resources_(resources) {}
  std::optional<std::string> serviceAccount(std::string_view ns, std::string_view name) const override {
    return uid("serviceaccounts", ns, name);
  }
  std::optional<std::string> pod(std::string_view ns, std::string_view name) const override {
    return uid("pods", ns, name);
  }
  std::optional<std::string> secret(std::string_view ns, std::string_view name) const override {
    return uid("secrets", ns, name);
  }
  std::optional<std::string> node(std::string_view name) const override { return uid("nodes", "", name); }

 private:
  std::optional<std::string> uid(std::string_view resource, std::string_view ns,
                                 std::string_view name) const {
    api::ObjectPtr o = resources_.cache("", resource).get(ns, name);
    if (!o) return std::nullopt;
    return o->meta().uid.str();
  }
  const Resources& resources_;
};

// system:masters may do anything; then nodes by what runs on them; then RBAC.
class ApiServer::SystemAuthorizer : public authz::Authorizer {
 public:
  SystemAuthorizer(const Resources& resources, const authz::Rbac& rbac, bool nodes) : node_(resources), rbac_(rbac), nodes_(nodes) {}
  authz::Answer authorize(const authz::Attributes& a) const override {
    if (a.user->in(authn::kMasters)) return {authz::Decision::kAllow, ""};
    authz::Answer byNode;
    if (nodes_) byNode = node_.authorize(a);
    if (byNode.decision == authz::Decision::kAllow) return byNode;
    authz::Answer answer = rbac_.authorize(a);
    if (answer.decision == authz::Decision::kNoOpinion && !byNode.reason.empty()) {
      answer.reason = answer.reason.empty() ? byNode.reason : byNode.reason + "\n" + answer.reason;
    }
    return answer;
  }

 private:
  NodeAuthorizer node_;
  const authz::Rbac& rbac_;
  const bool nodes_;
};

ApiServer::ApiServer(ServerOptions options, store::Store& store, async::LoopGroup& loops,
                     client::WorkerPool& pool, Clock& clock)
    : options_([&] {
        if (options.apiAudiences.empty() && !options.serviceAccountIssuers.empty())
          options.apiAudiences = {options.serviceAccountIssuers[0]};
        return std::move(options);
      }()),
      store_(store),
      loops_(loops),
      pool_(pool),
      clock_(clock),
      resources_(store, clock, [&pool](std::function<void()> f) { pool.post(std::move(f)); }),
      tidier_(loops.at(0), [&pool](std::function<void()> f) { pool.post(std::move(f)); }) {
  resources_.eachCache([this](cache::ResourceCache& c) { tidier_.add(c); });
  operations_ = std::make_unique<Operations>(resources_, store, admission_, clock, loops.at(0),
                                             [&pool](std::function<void()> f) { pool.post(std::move(f)); });
  handlers_ = std::make_unique<ResourceHandlers>(*operations_);
  lookup_ = std::make_unique<Lookup>(resources_);
  rbac_ = std::make_unique<authz::Rbac>([this] {
    auto all = [this](std::string_view r) {
      return resources_.cache("rbac.authorization.k8s.io", r).list().objects;
    };
    return authz::RbacObjects{all("roles"), all("rolebindings"), all("clusterroles"),
                              all("clusterrolebindings")};
  });
  authorizer_ = std::make_unique<SystemAuthorizer>(resources_, *rbac_, options_.nodeAuthorizer);
  operations_->setAuthorizer(authorizer_.get());
  ownClient_ = localClient({.name = "system:apiserver", .groups = {"system:masters"}}, "kube-apiserver");
  guard_ = std::make_unique<RbacGuard>(resources_, *rbac_, *authorizer_);
  operations_->setGuard([this](const Call& call, const api::Object& o, const api::Object* old) {
    return guard_->check(call, o, old);
  });
  deadlines_ = std::make_shared<Deadlines>(loops.at(0));
  flowControl_ = std::make_unique<FlowControl>(
      resources_, loops.at(0), options_.maxRequestsInflight + options_.maxMutatingRequestsInflight);
}

ApiServer::~ApiServer() {
  http_.reset();
}

Status ApiServer::setUpAuthentication() {
  authenticator_.allowAnonymous(options_.anonymousAuth);
  auto local = std::make_unique<authn::StaticTokens>();
  localTokens_ = local.get();
  authenticator_.add(std::move(local));
  if (!options_.tokenAuthFile.empty()) {
    KM_ASSIGN(auto file, authn::TokenFile::load(options_.tokenAuthFile));
    authenticator_.add(std::move(file));
  }
  if (!options_.serviceAccountKeys.empty()) {
    jwks_ = pki::jwks(options_.serviceAccountKeys);
    if (options_.bootstrapTokens) {
      authenticator_.add(std::make_unique<authn::BootstrapTokens>(
          [this](std::string_view name) { return resources_.cache("", "secrets").get("kube-system", name); }, clock_));
    }
    authenticator_.add(std::make_unique<authn::ServiceAccountTokens>(
        pki::TokenVerifier(options_.serviceAccountKeys), options_.serviceAccountIssuers,
        options_.apiAudiences, *lookup_, clock_));
  }
  return {};
}

namespace {

// Until the cache has what others have written, or for three seconds (upstream asks the store itself). Never on the store's committer thread.
void waitUntilFresh(cache::ResourceCache& cache) {
  auto fresh = std::make_shared<std::promise<void>>();
  auto done = fresh->get_future();
  cache.whenFresh([fresh](Status) { fresh->set_value(); });
  done.wait_for(std::chrono::seconds(3));
}

}  // namespace

void ApiServer::setUpAdmission() {
  admission::PluginContext context;
  context.get = [this](std::string_view group, std::string_view resource, std::string_view ns,
                       std::string_view name) -> api::ObjectPtr {
    api::ObjectPtr found = resources_.cache(group, resource).get(ns, name);
    if (found || !options_.sharedStore) return found;
    // Another server may have made it a moment ago.
    waitUntilFresh(resources_.registry(group, resource)->cache());
    return resources_.cache(group, resource).get(ns, name);
  };
  context.list = [this](std::string_view group, std::string_view resource, std::string_view ns) {
    return resources_.cache(group, resource).list(ns).objects;
  };
  context.authorize = [this](const authn::UserInfo& user, std::string_view verb, std::string_view group, std::string_view resource,
                             std::string_view name) {
    authz::Attributes a;
    a.user = &user;
    a.isResource = true;
    a.verb = verb;
    a.group = group;
    a.version = "*";
    a.resource = resource;
    a.name = name;
    return authorizer_->authorize(a).decision == authz::Decision::kAllow;
  };
  context.mayUseAudience = [this](const authn::UserInfo& node, std::string_view ns, std::string_view audience,
                                  std::string_view account) {
    authz::Attributes a{.user = &node,
                        .verb = "request-serviceaccounts-token-audience",
                        .isResource = true,
                        .version = "v1",
                        .resource = audience,
                        .ns = ns,
                        .name = account};
    return authorizer_->authorize(a).decision == authz::Decision::kAllow;
  };
  context.client = [this]() -> client::Client& { return *ownClient_; };
  context.offload = [this](std::function<void()> task) { pool_.post(std::move(task)); };
  context.clock = &clock_;
  admission::addPlugins(admission_, context, options_.enableAdmissionPlugins,
                        options_.disableAdmissionPlugins);
}

// Addresses and node ports of services.
Status ApiServer::setUpServices() {
  registry::ServiceAllocator::Options o;
  std::string_view ranges = options_.serviceClusterIpRange;
  while (!ranges.empty()) {
    size_t comma = ranges.find(',');
    auto cidr = registry::Cidr::parseSloppy(ranges.substr(0, comma));
    if (!cidr)
      return errors::badRequest(
          fmt::format("--service-cluster-ip-range: invalid CIDR address: {}", ranges.substr(0, comma)));
    o.ranges.push_back(*cidr);
    ranges.remove_prefix(comma == std::string_view::npos ? ranges.size() : comma + 1);
  }
  if (std::sscanf(options_.nodePortRange.c_str(), "%d-%d", &o.firstPort, &o.lastPort) != 2) {
    return errors::badRequest(
        fmt::format("--service-node-port-range: {} is not a port range", options_.nodePortRange));
  }
  addresses_ = std::make_unique<ServiceAddresses>(*operations_);
  o.isReserved = [this](const registry::Ip& ip) { return addresses_->isTaken(ip); };
  o.isPortReserved = [this](int port) { return ports_->isTaken(port); };
  o.keptElsewhere = true;
  registry::Registry& r = *resources_.registry("", "services");
  ports_ = std::make_unique<ServicePorts>(store_, o.firstPort, o.lastPort);
  KM_TRY(ports_->start(*r.cache().list().objects));
  services_ = std::make_unique<registry::ServiceAllocator>(std::move(o));
  registry::Hooks hooks;
  hooks.begin = [this](api::Object& s, const api::Object* old) -> Result<std::function<void(bool)>> {
    KM_ASSIGN(auto change, old == nullptr ? services_->beginCreate(s) : services_->beginUpdate(s, *old));
    return std::function<void(bool)>(
        [this, change](bool stored) { stored ? services_->commit(change) : services_->revert(change); });
  };
  hooks.claim = [this](const api::Object& s, const api::Object* old, std::function<void(Status)> next) {
    addresses_->claim(s, old, [this, &s, old, next = std::move(next)](Status claimed) mutable {
      if (!claimed.ok()) return next(std::move(claimed));
      ports_->claim(s, old, [this, &s, old, next = std::move(next)](Status claimed) mutable {
        if (claimed.ok()) return next({});
        addresses_->release(s, old, [claimed, next = std::move(next)] { next(claimed); });
      });
    });
  };
  hooks.unclaim = [this](const api::Object& s, const api::Object* old, registry::Hooks::Next next) {
    ports_->release(s, old, [this, &s, old, next = std::move(next)] { addresses_->release(s, old, next); });
  };
  hooks.freed = [this](const api::Object& before, const api::Object* now, registry::Hooks::Next next) {
    ports_->release(before, now, [this, &before, now, next = std::move(next)] {
      now != nullptr ? addresses_->release(before, now, next) : addresses_->deleted(before, next);
    });
  };
  r.setHooks(std::move(hooks));
  return {};
}

// Another server may be about to store a service whose port it has claimed; in a minute it has.
void ApiServer::freeLostPorts() {
  auto free = [this] { ports_->freeLost(*resources_.cache("", "services").list().objects); };
  if (!options_.sharedStore) return free();
  loops_.at(0).post([this, free] {
    lostPorts_ = std::make_unique<async::Timer>(loops_.at(0));
    lostPorts_->start(std::chrono::minutes(1), [this, free] { pool_.post(free); });
  });
}

Status ApiServer::setUpNodeProxy() {
  if (options_.kubeletClientCertificateFile.empty()) return {};
  nodeProxy_ = std::make_unique<NodeProxy>(
      resources_, NodeProxyOptions{options_.kubeletClientCertificateFile, options_.kubeletClientKeyFile,
                                   options_.kubeletCertificateAuthorityFile});
  KM_TRY(nodeProxy_->start(loops_.at(0)));
  nodeProxy_->registerWith(*handlers_);
  return {};
}

Status ApiServer::start() {
  KM_TRY(resources_.start());
  KM_TRY(setUpServices());
  KM_TRY(setUpAuthentication());
  setUpAdmission();
  setUpSubresources();
  KM_TRY(setUpNodeProxy());
  KM_ASSIGN(tls_, async::TlsContext::server(options_.tls));
  tlsFiles_ = async::renewFromFiles(loops_.at(0), tls_, options_.tls);
  http_ =
      std::make_unique<http::Server>(loops_, std::shared_ptr<http::Handler>(std::shared_ptr<void>(), this));
  KM_ASSIGN(port_, http_->listen(options_.bindAddress, options_.securePort, tls_));
  if (!options_.extraBindAddress.empty())
    KM_TRY(http_->listen(options_.extraBindAddress, port_, tls_).status());
  discovery_ = std::make_unique<Discovery>(
      resources_,
      fmt::format("{}:{}",
                  options_.advertiseAddress.empty() ? options_.bindAddress : options_.advertiseAddress,
                  port_));
  BootstrapOptions b;
  if (!options_.sharedStore) b.advertiseAddress = options_.advertiseAddress;
  b.securePort = port_;
  b.serviceIp = firstServiceAddress(options_.serviceClusterIpRange);
  b.serviceRanges = services_->ranges();
  b.clientCa = options_.tls.clientCaPem;
  if (b.clientCa.empty() && !options_.tls.clientCaFile.empty()) {
    KM_ASSIGN(b.clientCa, readFile(options_.tls.clientCaFile));
  }
  KM_TRY(bootstrap(*operations_, b));
  addresses_->repair();
  freeLostPorts();
  if (options_.sharedStore && !options_.advertiseAddress.empty()) {
    endpoints_ = std::make_shared<ServerEndpoints>(*operations_, store_, loops_.at(0), pool_,
                                                   options_.advertiseAddress, port_);
    KM_TRY(endpoints_->start());
  }
  ready_ = true;
  return {};
}

// Watches and streams, all at once or spread over their grace. `pause` waits; true: nothing is left to wait for.
void ApiServer::endLongRunning(const std::function<bool(Duration)>& pause) {
  constexpr Duration kPause = std::chrono::milliseconds(100);
  LongRunning& all = handlers_->longRunning();
  all.refuse();
  if (options_.shutdownWatchGrace <= Duration(0)) {
    all.endSome(all.size());
    return;
  }
  // Not slower than 200 a second, as upstream.
  auto pauses = static_cast<size_t>(std::max<int64_t>(options_.shutdownWatchGrace / kPause, 1));
  size_t each = std::max<size_t>(20, (all.size() + pauses - 1) / pauses);
  while (all.endSome(each) > 0) {
    if (pause(kPause)) return;
  }
}

void ApiServer::stop() {
  stopping_ = true;
  if (!http_) return;
  tlsFiles_.reset();
  std::promise<void> cancelled;
  loops_.at(0).post([&] {
    lostPorts_.reset();
    cancelled.set_value();
  });
  cancelled.get_future().wait();
  if (endpoints_) endpoints_->stop();
  endpoints_.reset();
  std::mutex mutex;
  std::condition_variable done;
  bool ended = false;
  auto endedWithin = [&](Duration most) {
    std::unique_lock lock(mutex);
    return done.wait_for(lock, most, [&] { return ended; });
  };
  if (options_.shutdownSendRetryAfter) {
    refusing_ = true;
    endLongRunning(endedWithin);
    deadlines_->awaitNone(options_.requestTimeout);
  }
  // No new connections, and GOAWAY; then the streams that would not end by themselves. What else runs may end.
  http_->shutdown(options_.shutdownSendRetryAfter ? kLastWords : options_.requestTimeout, [&] {
    std::lock_guard lock(mutex);
    ended = true;
    done.notify_all();
  });
  if (!options_.shutdownSendRetryAfter) endLongRunning(endedWithin);
  std::unique_lock lock(mutex);
  done.wait(lock, [&] { return ended; });
  lock.unlock();
  deadlines_->stop();
  http_.reset();
}

std::unique_ptr<client::Client> ApiServer::localClient(authn::UserInfo user, std::string userAgent) {
  if (!user.in(authn::kAllAuthenticated)) user.groups.emplace_back(authn::kAllAuthenticated);
  return makeLocalClient(*operations_, subresources_, *authorizer_, pool_, std::move(user),
                         std::move(userAgent));
}

std::string ApiServer::issueLocalToken(authn::UserInfo user) {
  std::string token = randomUuid() + randomUuid();
  localTokens_->add(token, std::move(user));
  return token;
}

// --- requests -----------------------------------------------------------------------------------------

size_t ApiServer::bodyLimit(const http::Request& request) {
  return 3 << 20;
}

void ApiServer::tooLarge(std::shared_ptr<http::Exchange> exchange) {
  auto http = std::make_shared<HttpCall>();
  http->exchange = std::move(exchange);
  http->auditId = randomUuid();
  http->fail(Status(413, "RequestEntityTooLarge", "Request entity too large: limit is 3145728"));
}

namespace {

// Requests that may take as long as they like.
bool isLongRunning(const RequestInfo& i) {
  if (!i.isResource) return false;
  if (i.verb == "watch" || i.verb == "proxy") return true;
  return i.subresource == "attach" || i.subresource == "exec" || i.subresource == "proxy" ||
         i.subresource == "log" || i.subresource == "portforward";
}

// How long the request may take: what it asks for, within what the server allows. 0: as long as it likes.
Result<Duration> timeoutOf(const HttpCall& http, Duration most) {
  std::string_view text = http.query.get("timeout");
  if (isLongRunning(http.info)) return Duration(0);
  if (text.empty()) return most;
  auto timeout = parseDuration(text);
  if (timeout.ok()) return *timeout > Duration(0) && *timeout < most ? *timeout : most;
  return errors::badRequest(
      fmt::format("invalid timeout specified in the request URL - {}", timeout.status().message()));
}

}  // namespace

// While the server stops: whether the request was told to try again.
bool ApiServer::refuse(const HttpCallPtr& http) {
  const http::Request& request = http->request();
  if (!refusing_) return false;
  for (std::string_view open : {"/readyz", "/livez", "/healthz", "/metrics"}) {
    if (std::string_view(request.path).starts_with(open)) return false;
  }
  http::Headers h;
  h.add("connection", "close");
  h.add("retry-after", "5");
  h.add("content-type", "text/plain; charset=utf-8");
  h.add("x-content-type-options", "nosniff");
  http->exchange->respond(429, std::move(h), http::Body("The apiserver is shutting down, please try again later.\n"));
  return true;
}

void ApiServer::handle(std::shared_ptr<http::Exchange> exchange) {
  auto http = std::make_shared<HttpCall>();
  http->exchange = std::move(exchange);
  const http::Request& request = http->request();
  http->started = clock_.monotonic();
  std::string_view given = request.headers.get("audit-id");
  http->auditId = given.empty() ? randomUuid() : std::string(given.substr(0, 64));
  if (refuse(http)) return;
  http->closing = options_.goawayChance > 0 && request.protocol == http::Protocol::kHttp2 && randomFraction() < options_.goawayChance;
  http->query = Query(request.query);
  http->info = readRequestInfo(request.method, request.path, http->query);
  // Errors are JSON unless the client only takes something else.
  auto f = negotiate(request.headers.get("accept"), http->query.get("pretty"), http->query.has("pretty"),
                     request.headers.get("user-agent"), Forms::kPlain);
  if (f.ok()) http->format = http->errorFormat = *f;
  auto timeout = timeoutOf(*http, options_.requestTimeout);
  if (!timeout.ok()) return http->fail(timeout.status());
  if (*timeout > Duration(0)) {
    http->deadlines = deadlines_;
    http->deadline = http->started + *timeout;
    deadlines_->add(*http, http->deadline);
  }
  auto user = authenticator_.authenticate(request, &http->warnings);
  if (!user.ok()) return http->fail(user.status());
  http->user = std::move(*user);
  auto other = impersonate(request, http->info, http->user, *authorizer_, impersonationModes_);
  if (!other.ok()) return http->fail(other.status());
  if (*other) http->user = std::move(**other);
  // What takes as long as it likes has no seat, but for the beginning of a watch.
  if (isLongRunning(http->info) && http->info.verb != "watch") return serve(http);
  flowControl_->admit(http, [this, http] { serve(http); });
}

void ApiServer::serve(const HttpCallPtr& http) {
  if (authorize(http)) route(http);
}

bool ApiServer::authorize(const HttpCallPtr& http) {
  authz::Attributes a = attributesOf(http->user, http->info);
  authz::Answer answer = authorizer_->authorize(a);
  if (answer.decision == authz::Decision::kAllow) return true;
  http->fail(forbiddenBy(a, answer.reason));
  return false;
}

void ApiServer::route(const HttpCallPtr& http) {
  // What is not served makes no series of its own.
  if (!http->info.isResource || resources_.find(http->info.group, http->info.version, http->info.resource) != nullptr) {
    bool apply = http->request().headers.get("content-type").starts_with("application/apply-patch");
    http->metrics.begin(http->info, isLongRunning(http->info), apply);
  }
  if (!http->info.isResource) return routeNonResource(http);
  const RequestInfo& i = http->info;
  if (resources_.hasGroupVersion(i.group, i.version) && (i.prefix == "api") == i.group.empty())
    return handlers_->handle(http);
  // Below an address that is served an unknown one is told in a Status.
  bool served = i.prefix == "api" || resources_.hasGroup(i.group);
  served ? http->fail(routeNotFound()) : http->answerText(404, "404 page not found\n");
}

}  // namespace km::apiserver
