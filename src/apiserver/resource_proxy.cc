#include "apiserver/resource_proxy.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>

#include "api/types/core_v1.h"
#include "apiserver/node_proxy.h"
#include "base/rand.h"
#include "base/strings.h"
#include "http/forward.h"
#include "http/spdy_connection.h"
#include "http/websocket.h"

namespace km::apiserver {
namespace {

using api::core_v1::Endpoints;
using api::core_v1::Node;
using api::core_v1::Pod;
using api::core_v1::Service;

constexpr size_t kHighWatermark = 256 << 10;
// Of one hop, or ours to say.
constexpr std::string_view kNotForwarded[] = {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
                                              "transfer-encoding", "upgrade", "content-length", "authorization", "host"};

bool isForwarded(std::string_view name) { return std::find(std::begin(kNotForwarded), std::end(kNotForwarded), name) == std::end(kNotForwarded) && name[0] != ':'; }

// Loopback and link-local addresses are the API server's own neighbourhood, which nobody may reach through it.
bool mayBeProxied(const std::string& ip) {
  in_addr v4{};
  if (::inet_pton(AF_INET, ip.c_str(), &v4) == 1) {
    uint32_t a = ntohl(v4.s_addr);
    bool loopback = a >> 24 == 127, linkLocal = a >> 16 == 0xa9fe, multicast = a >> 28 == 0xe;
    return a != 0 && !loopback && !linkLocal && !multicast;
  }
  in6_addr v6{};
  if (::inet_pton(AF_INET6, ip.c_str(), &v6) != 1) return false;
  return !IN6_IS_ADDR_LOOPBACK(&v6) && !IN6_IS_ADDR_UNSPECIFIED(&v6) && !IN6_IS_ADDR_LINKLOCAL(&v6) && !IN6_IS_ADDR_MULTICAST(&v6);
}

Status noEndpoints(std::string_view id) { return errors::serviceUnavailable(fmt::format("no endpoints available for service \"{}\"", id)); }

// A request under way.
struct Passing {
  HttpCallPtr http;
  std::shared_ptr<http::Call> call;
  std::string prefix;  // of paths as the client sees them
  std::string origin;  // "http://HOST:PORT" of the target
  bool started = false, ended = false;
};

// A redirect within the target leads back through here.
std::string rewritten(const Passing& p, std::string_view location) {
  if (location.starts_with(p.origin)) location.remove_prefix(p.origin.size());
  if (!location.starts_with("/") || location.starts_with("//") || location.starts_with(p.prefix)) return std::string(location);
  return p.prefix + std::string(location);
}

void pass(http::Client& client, const http::Endpoint& endpoint, http::CallOptions options, std::shared_ptr<Passing> p) {
  http::CallHandler h;
  h.onHead = [p](int status, const http::Headers& headers) {
    http::Headers out;
    for (const auto& f : headers) {
      if (!isForwarded(f.name)) continue;
      out.add(f.name, f.name == "location" ? rewritten(*p, f.value) : std::string(f.value));
    }
    p->started = true;
    p->http->exchange->start(status, std::move(out));
  };
  h.onData = [p](std::string_view bytes) {
    if (p->http->exchange->write(http::Buffer(std::string(bytes))) > kHighWatermark && p->call) p->call->pauseReading();
  };
  h.onEnd = [p](const http::Headers&) {
    p->ended = true;
    p->http->exchange->finish();
    p->call.reset();
  };
  h.onError = [p](const Status& why) {
    p->ended = true;
    p->started ? p->http->exchange->reset() : p->http->fail(errors::serviceUnavailable("error trying to reach service: " + why.message()));
    p->call.reset();
  };
  auto exchange = p->http->exchange;
  p->call = client.send(endpoint, std::move(options), std::move(h));
  exchange->onDrain([weak = std::weak_ptr(p)] {
    if (auto s = weak.lock(); s && s->call) s->call->resumeReading();
  });
  exchange->onClose([weak = std::weak_ptr(p)] {
    auto s = weak.lock();
    if (s && s->call && !s->ended) s->call->cancel();
    if (s) s->call.reset();
  });
}

}  // namespace

bool parseProxyName(std::string_view id, ProxyName& out) {
  std::vector<std::string_view> parts = split(id, ':');
  out = {};
  if (parts.size() == 1) {
    out.name = parts[0];
  } else if (parts.size() == 2) {
    out.name = parts[0];
    out.port = parts[1];
  } else if (parts.size() == 3) {
    out.scheme = parts[0];
    out.name = parts[1];
    out.port = parts[2];
    if (!out.scheme.empty() && out.scheme != "http" && out.scheme != "https") return false;
  } else {
    return false;
  }
  return !out.name.empty();
}

ResourceProxy::ResourceProxy(const Resources& resources, std::shared_ptr<async::TlsContext> kubeletTls, ClientOn clientOn)
    : resources_(resources), kubeletTls_(std::move(kubeletTls)), clientOn_(std::move(clientOn)) {}

Status ResourceProxy::start() {
  async::TlsClientOptions tls;
  tls.insecure = true;
  tls.alpn = {"http/1.1"};
  KM_ASSIGN(anyTls_, async::TlsContext::client(tls));
  return {};
}

void ResourceProxy::registerWith(ResourceHandlers& handlers) {
  for (std::string_view resource : {"pods", "services", "nodes"}) {
    handlers.handleSpecially("", resource, "proxy", [this](HttpCallPtr http, CallPtr call) { serve(http, call); });
  }
}

Result<http::Endpoint> ResourceProxy::podEndpoint(const Call& call, const ProxyName& name) const {
  api::ObjectPtr o = resources_.cache("", "pods").get(call.ns, name.name);
  if (!o) return errors::notFound({"", "pods"}, name.name);
  const Pod& pod = o->as<Pod>();
  http::Endpoint e;
  e.host = pod.status.podIP.str();
  if (!mayBeProxied(e.host)) return errors::badRequest("address not allowed");
  if (auto port = parseInt64(name.port)) {
    e.port = static_cast<int>(*port);
  } else if (name.port.empty()) {
    for (const auto& c : pod.spec.containers) {
      if (e.port == 0 && !c.ports.empty()) e.port = c.ports[0].containerPort;
    }
  }
  if (e.port == 0) e.port = name.scheme == "https" ? 443 : 80;
  if (name.scheme == "https") e.tls = anyTls_;
  return e;
}

// Only what a pod of the namespace answers to is reached through the server.
bool ResourceProxy::isOfPod(std::string_view ns, const api::core_v1::EndpointAddress& address) const {
  if (!address.targetRef || address.targetRef->namespace_ != ns) return false;
  api::ObjectPtr pod = resources_.cache("", "pods").get(ns, address.targetRef->name);
  if (!pod) return false;
  const auto& ips = pod->as<Pod>().status.podIPs;
  return std::any_of(ips.begin(), ips.end(), [&](const auto& ip) { return ip.ip == address.ip; });
}

Result<http::Endpoint> ResourceProxy::serviceEndpoint(const Call& call, const ProxyName& name) const {
  api::ObjectPtr o = resources_.cache("", "services").get(call.ns, name.name);
  if (!o) return errors::notFound({"", "services"}, name.name);
  std::string port = name.port;
  if (auto number = parseInt64(port)) {
    bool known = false;
    for (const auto& p : o->as<Service>().spec.ports) {
      if (p.port != *number || known) continue;
      port = p.name.str();
      known = true;
    }
    if (!known) return errors::serviceUnavailable(fmt::format("no service port {} found for service \"{}\"", *number, name.name));
  }
  api::ObjectPtr endpoints = resources_.cache("", "endpoints").get(call.ns, name.name);
  if (!endpoints) return errors::notFound({"", "services"}, name.name);
  const auto& subsets = endpoints->as<Endpoints>().subsets;
  if (subsets.empty()) return noEndpoints(name.name);
  std::vector<http::Endpoint> found;
  for (const auto& subset : subsets) {
    for (const auto& p : subset.ports) {
      if (p.name != std::string_view(port)) continue;
      for (const auto& address : subset.addresses) {
        if (!isOfPod(call.ns, address)) continue;
        http::Endpoint e;
        e.host = address.ip.str();
        e.port = p.port;
        found.push_back(std::move(e));
      }
    }
  }
  if (found.empty()) return noEndpoints(call.name);
  http::Endpoint e = found[randomUint64() % found.size()];
  if (!mayBeProxied(e.host)) return errors::badRequest("address not allowed");
  if (name.scheme == "https") e.tls = anyTls_;
  return e;
}

Result<http::Endpoint> ResourceProxy::nodeEndpoint(const Call&, const ProxyName& name) const {
  api::ObjectPtr o = resources_.cache("", "nodes").get("", name.name);
  if (!o) return errors::notFound({"", "nodes"}, name.name);
  KM_ASSIGN(http::Endpoint e, kubeletEndpoint(o->as<Node>()));
  auto port = parseInt64(name.port);
  if (!port || *port == e.port) {
    e.tls = kubeletTls_;
    return e;
  }
  if (!mayBeProxied(e.host)) return errors::badRequest("address not allowed");
  e.port = static_cast<int>(*port);
  if (name.scheme == "https") e.tls = anyTls_;
  return e;
}

Result<http::Endpoint> ResourceProxy::endpoint(const Call& call) const {
  ProxyName name;
  const std::string_view resource = call.served->resource->name;
  if (!parseProxyName(call.name, name)) {
    std::string_view kind = resource == "pods" ? "pod" : resource == "services" ? "service" : "node";
    return errors::badRequest(fmt::format("invalid {} request \"{}\"", kind, call.name));
  }
  if (resource == "pods") return podEndpoint(call, name);
  return resource == "services" ? serviceEndpoint(call, name) : nodeEndpoint(call, name);
}

void ResourceProxy::serve(const HttpCallPtr& http, const CallPtr& call) {
  auto target = endpoint(*call);
  if (!target.ok()) return http->fail(target.status());
  target->speak = http::Endpoint::Speak::kHttp1;
  const http::Request& request = http->request();
  // What stands behind ".../proxy", as it was sent.
  size_t at = request.path.find("/proxy", request.path.find("/" + std::string(call->served->resource->name) + "/"));
  if (at == std::string::npos) return http->fail(errors::notFound(call->groupResource(), call->name));
  std::string prefix = request.path.substr(0, at + 6), path = request.path.substr(at + 6);
  http::CallOptions options;
  options.method = request.method;
  options.target = (path.empty() ? "/" : path) + (request.query.empty() ? "" : "?" + request.query);
  http::Client& client = clientOn_(http->exchange->loop());
  if (http::isWebSocketUpgrade(request) || http::isSpdyUpgrade(request)) {
    return http::forwardUpgrade(client, *target, std::move(options), http->exchange, [http](const auto&, int status, std::string body) {
      status == 502 ? http->fail(errors::serviceUnavailable("error trying to reach service: " + body)) : http->answerText(status, body);
    });
  }
  if (path.empty()) {
    http::Headers headers;
    headers.add("location", prefix + "/" + (request.query.empty() ? "" : "?" + request.query));
    return http->exchange->respond(301, std::move(headers));
  }
  for (const auto& f : request.headers) {
    if (isForwarded(f.name)) options.headers.add(f.name, f.value);
  }
  options.headers.set("x-forwarded-uri", prefix + path);
  options.headers.set("x-forwarded-host", request.headers.get("host"));
  options.headers.set("x-forwarded-proto", "https");
  std::string remote = request.connection->remote.substr(0, request.connection->remote.rfind(':'));
  std::string_view before = request.headers.get("x-forwarded-for");
  options.headers.set("x-forwarded-for", before.empty() ? remote : std::string(before) + ", " + remote);
  options.body = http::Body(request.body);
  auto p = std::make_shared<Passing>();
  p->http = http;
  p->prefix = prefix;
  p->origin = fmt::format("{}://{}:{}", target->tls ? "https" : "http", target->host, target->port);
  pass(client, *target, std::move(options), std::move(p));
}

}  // namespace km::apiserver
