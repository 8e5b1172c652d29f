// ApiServer: what is no resource. Health, version, metrics, OpenAPI, the root and the issuer's documents.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "api/field_error.h"
#include "apiserver/compress.h"
#include "apiserver/discovery.h"
#include "apiserver/routing.h"
#include "apiserver/server.h"
#include "base/version.h"
#include "codec/json.h"
#include "object/openapi.h"
#include "pki/tokens.h"

namespace km::apiserver {
namespace {

// Upstream's checks by endpoint (recorded/health-checks.tsv). What a check stands for here: everything that starts, starts
// before the server listens or before readiness, so a check follows one of few facts.
enum class Fact { kAlways, kReady, kNotStopping, kStore };
struct Check {
  std::string_view name;
  Fact fact;
  bool livez, readyz, healthz;
};
constexpr Check kChecks[] = {
    {"ping", Fact::kAlways, true, true, true},
    {"log", Fact::kAlways, true, true, true},
    {"loopback-serving-certificate", Fact::kAlways, true, false, true},
    {"etcd", Fact::kStore, true, false, true},
    {"informer-sync", Fact::kReady, false, true, false},
    {"poststarthook/start-apiserver-admission-initializer", Fact::kReady, true, true, true},
    {"poststarthook/generic-apiserver-start-informers", Fact::kReady, true, true, true},
    {"poststarthook/priority-and-fairness-config-consumer", Fact::kReady, true, true, true},
    {"poststarthook/priority-and-fairness-filter", Fact::kReady, true, true, true},
    {"poststarthook/storage-object-count-tracker-hook", Fact::kReady, true, true, true},
    {"poststarthook/start-apiextensions-informers", Fact::kReady, true, true, true},
    {"poststarthook/start-apiextensions-controllers", Fact::kReady, true, true, true},
    {"poststarthook/crd-informer-synced", Fact::kReady, true, true, true},
    {"poststarthook/start-system-namespaces-controller", Fact::kReady, true, true, true},
    {"poststarthook/peer-endpoint-reconciler-controller", Fact::kReady, true, true, true},
    {"poststarthook/start-cluster-authentication-info-controller", Fact::kReady, true, true, true},
    {"poststarthook/start-kube-apiserver-identity-lease-controller", Fact::kReady, true, true, true},
    {"poststarthook/start-kube-apiserver-identity-lease-garbage-collector", Fact::kReady, true, true, true},
    {"poststarthook/storage-readiness", Fact::kReady, true, true, true},
    {"poststarthook/start-legacy-token-tracking-controller", Fact::kReady, true, true, true},
    {"poststarthook/start-service-ip-repair-controllers", Fact::kReady, true, true, true},
    {"poststarthook/rbac/bootstrap-roles", Fact::kReady, true, true, true},
    {"poststarthook/scheduling/bootstrap-system-priority-classes", Fact::kReady, true, true, true},
    {"poststarthook/priority-and-fairness-config-producer", Fact::kReady, true, true, true},
    {"poststarthook/bootstrap-controller", Fact::kReady, true, true, true},
    {"poststarthook/start-kubernetes-service-cidr-controller", Fact::kReady, true, true, true},
    {"poststarthook/start-kube-aggregator-informers", Fact::kReady, true, true, true},
    {"poststarthook/apiservice-status-local-available-controller", Fact::kReady, true, true, true},
    {"poststarthook/apiservice-status-remote-available-controller", Fact::kReady, true, true, true},
    {"poststarthook/apiservice-registration-controller", Fact::kReady, true, true, true},
    {"poststarthook/apiservice-wait-for-first-sync", Fact::kReady, true, true, true},
    {"poststarthook/apiservice-discovery-controller", Fact::kReady, true, true, true},
    {"poststarthook/kube-apiserver-autoregistration", Fact::kReady, true, true, true},
    {"autoregister-completion", Fact::kReady, true, true, true},
    {"poststarthook/apiservice-openapi-controller", Fact::kReady, true, true, true},
    {"poststarthook/apiservice-openapiv3-controller", Fact::kReady, true, true, true},
    {"shutdown", Fact::kNotStopping, false, true, false},
};

// What the router serves besides the API: GET alone, in one type.
bool routed(const HttpCallPtr& http, std::string_view type) {
  Status s = http->request().method == "GET" ? checkAccept(http->request().headers.get("accept"), {type}) : routeMethodNotAllowed();
  if (s.ok()) return true;
  http->fail(s);
  return false;
}

// 304 to a client that has the document already.
void answerUnlessKnown(const HttpCallPtr& http, http::Headers h, std::shared_ptr<const std::string> bytes, const std::string& etag) {
  http->seat.reset();
  if (!etag.empty() && http->request().headers.get("if-none-match") == etag) {
    h.remove("content-type");
    return http->exchange->respond(304, std::move(h), {});
  }
  http->exchange->respond(200, std::move(h), http::Body(std::move(bytes)));
}

// The older document is large and much asked for, so that its compressed form is kept.
void answerOpenApiV2(const HttpCallPtr& http) {
  bool proto = http->request().headers.get("accept").find("proto-openapi.spec.v2") != std::string_view::npos;
  object::OpenApiDocument d = proto ? object::openApiV2Proto() : object::openApiV2Json();
  http::Headers h = http->headers(proto ? "application/com.github.proto-openapi.spec.v2.v1.0+protobuf" : "application/json");
  h.add("vary", "Accept-Encoding");
  h.add("vary", "Accept");
  h.add("etag", d.etag);
  if (acceptsGzip(http->request().headers.get("accept-encoding"))) {
    auto packed = [](const object::OpenApiDocument& from) {
      std::string bytes;
      gzip(http::Body(from.bytes)).take([&](async::Buffer&& b) { bytes += b.view(); });
      return std::make_shared<const std::string>(std::move(bytes));
    };
    static const auto json = packed(object::openApiV2Json()), message = packed(object::openApiV2Proto());
    d.bytes = proto ? message : json;
    h.add("content-encoding", "gzip");
  }
  answerUnlessKnown(http, std::move(h), d.bytes, d.etag);
}

}  // namespace

void ApiServer::routeNonResource(const HttpCallPtr& http) {
  std::string_view path = http->info.path;
  for (std::string_view root : {"/healthz", "/livez", "/readyz"}) {
    if (path == root || (path.starts_with(root) && path[root.size()] == '/')) return checkHealth(http, path);
  }
  if (path == "/version" || path == "/version/") {
    if (routed(http, "application/json")) answerVersion(http);
    return;
  }
  if (path.starts_with("/version/")) return http->fail(routeNotFound());
  if (path == "/metrics") {
    std::string text;
    MetricRegistry::process().writeText(text);
    return http->answer(200, http::Body(std::move(text)), "text/plain; version=0.0.4; charset=utf-8; escaping=underscores");
  }
  if (path.starts_with("/openapi/") && answerOpenApi(http, path)) return;
  if (path == "/.well-known/openid-configuration" || path == "/.well-known/openid-configuration/" || path == "/openid/v1/jwks" || path == "/openid/v1/jwks/") {
    bool keys = path.starts_with("/openid");
    if (!routed(http, keys ? "application/jwk-set+json" : "application/json")) return;
    std::string body = keys ? jwks_
                            : pki::openIdConfiguration(options_.serviceAccountIssuers[0],
                                                       fmt::format("https://{}:{}/openid/v1/jwks", options_.advertiseAddress, port_),
                                                       options_.serviceAccountKeys);
    http::Headers h = http->headers(keys ? "application/jwk-set+json" : "application/json");
    h.set("cache-control", "public, max-age=3600");
    return http->exchange->respond(200, std::move(h), http::Body(std::move(body)));
  }
  if (path == "/") return answerRoot(http);
  if (discovery_ && discovery_->handle(http)) return;
  // Unknown versions of what is served.
  std::string_view group = path.starts_with("/apis/") ? path.substr(6, path.find('/', 6) - 6) : std::string_view();
  if (path.starts_with("/api/") || (!group.empty() && resources_.hasGroup(group))) return http->fail(routeNotFound());
  http->answerText(404, "404 page not found\n");
}

void ApiServer::checkHealth(const HttpCallPtr& http, std::string_view path) {
  if (!options_.sharedStore) return answerHealth(http, path, true);
  Duration timeout = path.starts_with("/readyz") ? options_.storeReadyTimeout : options_.storeHealthTimeout;
  store_.probe(timeout, [this, http, path = std::string(path)](Status s) { answerHealth(http, path, s.ok()); });
}

void ApiServer::answerHealth(const HttpCallPtr& http, std::string_view path, bool storeAnswers) {
  std::string_view endpoint = path.substr(1, path.find('/', 1) == std::string_view::npos ? std::string_view::npos : path.find('/', 1) - 1);
  std::string_view single = path.substr(1 + endpoint.size());
  auto in = [&](const Check& c) {
    // Without a store outside nobody is served; as recorded, readiness names it only then.
    if (c.fact == Fact::kStore && options_.sharedStore && (!storeAnswers || !single.empty())) return true;
    return endpoint == "livez" ? c.livez : endpoint == "readyz" ? c.readyz : c.healthz;
  };
  auto good = [&](const Check& c) {
    if (c.fact == Fact::kStore) return storeAnswers;
    return c.fact == Fact::kAlways || (c.fact == Fact::kReady && ready_) || (c.fact == Fact::kNotStopping && !stopping_);
  };
  if (!single.empty()) {
    single.remove_prefix(1);
    for (const Check& c : kChecks) {
      if (c.name != single || !in(c)) continue;
      if (good(c)) return http->answerText(200, "ok");
      return http->answerText(500, fmt::format("internal server error: {}\n", "not finished"));
    }
    return http->answerText(404, "404 page not found\n");
  }
  std::vector<std::string_view> excluded = http->query.all("exclude");
  std::string lines;
  bool failed = false;
  for (const Check& c : kChecks) {
    if (!in(c)) continue;
    bool skip = std::erase(excluded, c.name) > 0;
    if (skip) {
      lines += fmt::format("[+]{} excluded: ok\n", c.name);
    } else if (good(c)) {
      lines += fmt::format("[+]{} ok\n", c.name);
    } else {
      failed = true;
      lines += fmt::format("[-]{} failed: reason withheld\n", c.name);
    }
  }
  if (!excluded.empty()) {
    std::vector<std::string> names;
    for (std::string_view e : excluded) names.push_back(api::goQuote(e));
    lines += fmt::format("warn: some health checks cannot be excluded: no matches for {}\n", fmt::join(names, ", "));
  }
  if (failed) return http->answerText(500, fmt::format("{}{} check failed\n", lines, endpoint));
  if (!http->query.has("verbose")) return http->answerText(200, "ok");
  http->answerText(200, fmt::format("{}{} check passed\n", lines, endpoint));
}

void ApiServer::answerVersion(const HttpCallPtr& http) {
  VersionInfo v = versionInfo();
  std::string out = R"({"major":"1","minor":"36","emulationMajor":"1","emulationMinor":"36","minCompatibilityMajor":"1","minCompatibilityMinor":"35")";
  auto add = [&](std::string_view key, std::string_view value) {
    out += fmt::format(",\"{}\":", key);
    codec::appendJsonString(out, value);
  };
  add("gitVersion", v.gitVersion);
  add("gitCommit", v.gitCommit);
  add("gitTreeState", v.gitTreeState);
  add("buildDate", v.buildDate);
  add("compiler", v.compiler);
  add("platform", v.platform);
  http->format.encoding = Encoding::kJson;
  http->answer(200, http::Body(codec::prettyJson(out + "}")), "application/json");
}

void ApiServer::answerRoot(const HttpCallPtr& http) {
  std::vector<std::string> paths = {"/.well-known/openid-configuration", "/api", "/api/v1", "/apis", "/apis/", "/healthz", "/livez", "/metrics",
                                    "/openapi/v2", "/openapi/v3", "/openapi/v3/", "/openid/v1/jwks", "/readyz", "/version"};
  for (std::string_view g : Discovery::groups(resources_)) {
    paths.push_back(fmt::format("/apis/{}", g));
    for (std::string_view v : Discovery::versions(resources_, g)) paths.push_back(fmt::format("/apis/{}/{}", g, v));
  }
  for (const Check& c : kChecks) {
    if (c.healthz) paths.push_back(fmt::format("/healthz/{}", c.name));
    if (c.livez) paths.push_back(fmt::format("/livez/{}", c.name));
    if (c.readyz) paths.push_back(fmt::format("/readyz/{}", c.name));
  }
  std::sort(paths.begin(), paths.end());
  std::string out = "{\"paths\":[";
  for (size_t i = 0; i < paths.size(); i++) {
    if (i != 0) out += ',';
    codec::appendJsonString(out, paths[i]);
  }
  http->format.encoding = Encoding::kJson;
  http->answer(200, http::Body(codec::prettyJson(out + "]}")), "application/json");
}

bool ApiServer::answerOpenApi(const HttpCallPtr& http, std::string_view path) {
  if (path == "/openapi/v2") {
    answerOpenApiV2(http);
    return true;
  }
  object::OpenApiDocument d;
  bool index = path == "/openapi/v3" || path == "/openapi/v3/";
  if (index) {
    d = object::openApiV3Index();
  } else if (path.starts_with("/openapi/v3/")) {
    d = object::openApiV3(path.substr(std::string_view("/openapi/v3/").size()));
  } else {
    return false;
  }
  http::Headers h = http->headers("application/json");
  h.add("vary", "Accept");
  if (!d.bytes) {
    h.remove("content-type");
    http->exchange->respond(404, std::move(h), {});
    return true;
  }
  if (!d.etag.empty()) h.add("etag", d.etag);
  // A hash in the address says that the answer may be kept; a wrong one leads to the right address.
  std::string_view hash = http->query.get("hash");
  std::string_view right = std::string_view(d.etag).substr(1, d.etag.size() - 2);
  if (!index && !hash.empty() && hash != right) {
    h.add("location", fmt::format("{}?hash={}", path, right));
    http->exchange->respond(301, std::move(h), {});
    return true;
  }
  if (!index && !hash.empty()) h.set("cache-control", "public, immutable");
  answerUnlessKnown(http, std::move(h), d.bytes, d.etag);
  return true;
}

}  // namespace km::apiserver
