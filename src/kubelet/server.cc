#include "kubelet/server.h"

#include <fmt/format.h>

#include "api/types/authorization_v1.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/strings.h"
#include "codec/json.h"
#include "http/forward.h"
#include "http/spdy_connection.h"
#include "http/text.h"
#include "http/websocket.h"
#include "kubelet/kubelet_metrics.h"
#include "kubelet/node_stats.h"
#include "kubelet/pod_worker.h"

namespace km::kubelet {
namespace {

}  // namespace

struct KubeletServer::Request {
  std::shared_ptr<http::Exchange> exchange;
  std::vector<std::string> parts;  // of the path, decoded
  std::vector<std::pair<std::string, std::string>> query;

  std::string_view get(std::string_view key) const {
    for (const auto& [k, v] : query) {
      if (k == key) return v;
    }
    return "";
  }
  bool has(std::string_view key) const {
    for (const auto& [k, v] : query) {
      if (k == key) return true;
    }
    return false;
  }
  bool flag(std::string_view key) const {
    std::string_view v = get(key);
    return v == "1" || v == "true" || v == "t" || v == "T" || v == "TRUE" || v == "True";
  }
  void text(int code, std::string_view body) const {
    http::Headers h;
    h.add("content-type", "text/plain; charset=utf-8");
    h.add("x-content-type-options", "nosniff");
    exchange->respond(code, std::move(h), http::Body(std::string(body) + "\n"));
  }
  // Without a line end, as upstream's handlers answer; text() is for its router's answers.
  void plain(int code, std::string_view body) const {
    http::Headers h;
    h.add("content-type", "text/plain; charset=utf-8");
    exchange->respond(code, std::move(h), http::Body(std::string(body)));
  }
  void json(std::string body) const {
    http::Headers h;
    h.add("content-type", "application/json");
    exchange->respond(200, std::move(h), http::Body(std::move(body)));
  }
};

KubeletServer::KubeletServer(const Options& options, ServerHost host, client::Client& client, cri::Runtime& runtime, ElasticPool& pool, async::Loop& loop)
    : options_(options), host_(std::move(host)), delegation_(client, Clock::system(), {.anonymous = options.anonymousAuth, .askAboutTokens = options.webhookAuth}), runtime_(runtime), pool_(pool), loop_(loop) {}

KubeletServer::~KubeletServer() { stop(); }

Result<int> KubeletServer::start() {
  async::TlsServerOptions tls;
  tls.certificateFile = options_.tlsCertFile;
  tls.keyFile = options_.tlsPrivateKeyFile;
  tls.clientCaFile = options_.clientCaFile;
  tls.minVersion = options_.tlsMinVersion;
  tls.cipherSuites = options_.tlsCipherSuites;
  podStarts();  // told from the beginning
  KM_ASSIGN(auto context, async::TlsContext::server(tls));
  loops_ = std::make_shared<async::LoopGroup>(1, "kubelet-http");
  tlsFiles_ = async::renewFromFiles(loops_->at(0), context, tls);
  http_ = std::make_shared<http::Client>(loops_->at(0));
  server_ = std::make_unique<http::Server>(*loops_, shared_from_this());
  return server_->listen(options_.bindAddress, options_.port, context);
}

void KubeletServer::stop() {
  server_.reset();
  tlsFiles_.reset();
  if (loops_) loops_->stop();
  follows_.clear();
  http_.reset();
  loops_.reset();
}

void KubeletServer::containerEnded(const std::string& id) {
  if (!loops_) return;
  loops_->at(0).post([self = shared_from_this(), id] {
    auto [from, to] = self->follows_.equal_range(id);
    std::vector<std::shared_ptr<LogStream>> streams;
    for (auto it = from; it != to; ++it) {
      if (auto s = it->second.lock()) streams.push_back(std::move(s));
    }
    self->follows_.erase(from, to);
    for (auto& s : streams) {
      s->poke();
      if (!s->finished()) self->follows_.emplace(id, s);  // its client is slow
    }
  });
}

void KubeletServer::handle(std::shared_ptr<http::Exchange> exchange) {
  auto r = std::make_shared<Request>();
  r->exchange = std::move(exchange);
  const http::Request& request = r->exchange->request();
  for (std::string_view part : split(request.path, '/')) {
    auto decoded = http::percentDecode(part);
    if (!decoded) return r->text(400, "malformed path");
    if (!part.empty()) r->parts.push_back(std::move(*decoded));
  }
  for (std::string_view pair : split(request.query, '&')) {
    if (pair.empty()) continue;
    auto kv = cut(pair, '=').value_or(std::pair<std::string_view, std::string_view>(pair, ""));
    auto key = http::percentDecode(kv.first, true), value = http::percentDecode(kv.second, true);
    if (!key || !value) return r->text(400, "malformed query");
    r->query.emplace_back(std::move(*key), std::move(*value));
  }
  auto self = shared_from_this();
  delegation_.authenticate(request, [self, r](Result<authn::UserInfo> user) {
    user.ok() ? self->authorize(r, *user) : r->text(user.status().code(), user.status().message());
  });
}

// As upstream's webhook: the API server is asked for the subresource of the node that stands for the path.
void KubeletServer::authorize(const RequestPtr& r, const authn::UserInfo& user) {
  const http::Request& request = r->exchange->request();
  std::string_view first = r->parts.empty() ? std::string_view() : std::string_view(r->parts[0]);
  std::string_view sub = first == "stats" ? "stats" : first == "metrics" ? "metrics" : first == "logs" ? "log" : first == "healthz" ? "healthz" : first == "pods" ? "pods" : "proxy";
  std::string verb = request.method == "POST" ? "create" : request.method == "GET" || request.method == "HEAD" ? "get" : toLower(request.method);
  if (options_.alwaysAllow) {
    r->exchange->loop().dispatch([self = shared_from_this(), r] { self->route(r); });
    return;
  }
  api::authorization_v1::SubjectAccessReviewSpec spec;
  auto& what = spec.resourceAttributes.ensure();
  what.verb = verb;
  what.version = "v1";
  what.resource = "nodes";
  what.subresource = sub;
  what.name = options_.nodeName;
  auto self = shared_from_this();
  delegation_.authorize(user, std::move(spec), [self, r, verb, sub, name = user.name](Status s) {
    if (s.code() == 403) return r->text(403, fmt::format("Forbidden (user={}, verb={}, resource=nodes, subresource={})", name, verb, sub));
    if (!s.ok()) return r->text(500, s.message());
    r->exchange->loop().dispatch([self, r] { self->route(r); });
  });
}

void KubeletServer::route(const RequestPtr& r) {
  using Method = void (KubeletServer::*)(const RequestPtr&);
  struct Route {
    std::string_view first;
    size_t parts;
    Method method;
  };
  static constexpr Route kRoutes[] = {
      {"pods", 1, &KubeletServer::listPods},       {"containerLogs", 4, &KubeletServer::logs}, {"exec", 4, &KubeletServer::exec},
      {"exec", 5, &KubeletServer::exec},           {"attach", 4, &KubeletServer::attach},      {"attach", 5, &KubeletServer::attach},
      {"portForward", 3, &KubeletServer::portForward}, {"portForward", 4, &KubeletServer::portForward}, {"run", 4, &KubeletServer::run},
      {"run", 5, &KubeletServer::run},             {"metrics", 1, &KubeletServer::metrics},
      {"configz", 1, &KubeletServer::configz},
  };
  if (r->parts.empty()) return r->text(404, "404 page not found");
  if (r->parts[0] == "healthz") return r->plain(200, "ok");
  if (r->parts.size() == 2 && r->parts[0] == "metrics" && (r->parts[1] == "probes" || r->parts[1] == "resource")) {
    pool_.post([self = shared_from_this(), r] {
      std::string out;
      if (r->parts[1] == "probes") {
        probeMetrics().writeText(out);
      } else {
        out = resourceMetrics(self->options_, self->host_.pods());
      }
      http::Headers h;
      h.add("content-type", kMetricsContentType);
      r->exchange->respond(200, std::move(h), http::Body(std::move(out)));
    });
    return;
  }
  if (r->parts.size() == 2 && r->parts[0] == "stats" && r->parts[1] == "summary") return summary(r);
  bool open = r->parts[0] == "pods" || r->parts[0] == "metrics" || r->parts[0] == "configz";
  if (!open && !options_.debuggingHandlers) return r->text(405, "Debug endpoints are disabled.");
  for (const Route& route : kRoutes) {
    if (route.first == r->parts[0] && route.parts == r->parts.size()) return (this->*route.method)(r);
  }
  r->text(404, "404 page not found");
}

// --- logs ------------------------------------------------------------------------------------------------

void KubeletServer::logs(const RequestPtr& r) {
  const std::string &ns = r->parts[1], &name = r->parts[2], &container = r->parts[3];
  LogOptions o;
  o.follow = r->flag("follow");
  o.previous = r->flag("previous");
  o.timestamps = r->flag("timestamps");
  o.stream = std::string(r->get("stream"));
  bool decoded = true;
  auto number = [&](std::string_view key, std::optional<int64_t>& to, int64_t least) {
    if (!r->has(key) || r->get(key).empty()) return true;
    to = parseInt64(r->get(key));
    decoded &= to.has_value();
    return !to || *to >= least;
  };
  bool valid = number("tailLines", o.tailLines, 0);
  valid &= number("limitBytes", o.limitBytes, 1);
  valid &= number("sinceSeconds", o.sinceSeconds, 1);
  if (!decoded) return r->plain(400, "{\"message\": \"Unable to decode query.\"}");
  if (!valid) return r->plain(422, "{\"message\": \"Invalid request.\"}");
  if (std::string_view t = r->get("sinceTime"); !t.empty()) {
    auto parsed = codec::Time::parse(t);
    if (!parsed.ok()) return r->plain(400, "{\"message\": \"Unable to decode query.\"}");
    o.sinceTime = *parsed;
  }
  auto worker = host_.worker(ns, name);
  if (!worker) return r->plain(404, fmt::format("pod \"{}\" does not exist", name));
  auto log = worker->logOf(container, o.previous);
  if (!log.ok() && log.status().code() == 404) return r->plain(404, log.status().message());
  if (!log.ok()) return r->exchange->respond(400, {}, http::Body(log.status().message()));  // upstream names no type here
  auto running = [weak = std::weak_ptr(worker), id = log->id] {
    auto w = weak.lock();
    return w && w->isRunning(id);
  };
  auto stream = LogStream::begin(r->exchange, log->path, o, running);
  if (!o.follow || stream->finished()) return;
  std::erase_if(follows_, [](const auto& e) { return e.second.expired(); });
  follows_.emplace(log->id, stream);
  stream->poke();  // it may have ended since
}

// --- streams -----------------------------------------------------------------------------------------------

// Asks the runtime for a URL, and joins the client with it.
void KubeletServer::stream(const RequestPtr& r, std::function<Result<std::string>()> url) {
  const http::Request& request = r->exchange->request();
  bool webSocket = http::isWebSocketUpgrade(request);
  if (!webSocket && !http::isSpdyUpgrade(request)) return r->plain(400, "Upgrade request required");
  pool_.post([self = shared_from_this(), r, webSocket, url = std::move(url)] {
    auto target = url();
    r->exchange->loop().post([self, r, webSocket, target = std::move(target)] {
      if (!target.ok()) return r->plain(target.status().code() == 404 ? 404 : 500, target.status().message());
      auto parsed = http::parseUrl(*target);
      if (!parsed.ok()) return r->plain(500, parsed.status().message());
      http::Endpoint endpoint;
      endpoint.host = parsed->host;
      endpoint.port = parsed->port;
      endpoint.speak = http::Endpoint::Speak::kHttp1;
      http::CallOptions options;
      options.method = webSocket ? "GET" : "POST";
      options.target = parsed->target;
      http::forwardUpgrade(*self->http_, endpoint, std::move(options), r->exchange, [r](const auto&, int status, std::string body) { r->plain(status == 502 ? 500 : status, body); });
    });
  });
}

void KubeletServer::exec(const RequestPtr& r) {
  auto worker = host_.worker(r->parts[1], r->parts[2]);
  std::string id = worker ? worker->containerId(r->parts.back(), false) : "";
  if (!worker) return r->plain(404, "pod does not exist");
  if (id.empty() || !worker->isRunning(id)) return r->plain(404, fmt::format("container not found (\"{}\")", r->parts.back()));
  cri::ExecRequest e;
  e.containerId = id;
  for (const auto& [key, value] : r->query) {
    if (key == "command") e.cmd.push_back(value);
  }
  e.stdin = r->flag("input");
  e.stdout = r->flag("output");
  e.tty = r->flag("tty");
  e.stderr = r->flag("error") && !e.tty;
  if (!e.stdin && !e.stdout && !e.stderr) return r->plain(400, "you must specify at least 1 of stdin, stdout, stderr");
  stream(r, [this, e] { return runtime_.exec(e); });
}

void KubeletServer::attach(const RequestPtr& r) {
  auto worker = host_.worker(r->parts[1], r->parts[2]);
  std::string id = worker ? worker->containerId(r->parts.back(), false) : "";
  if (!worker) return r->plain(404, "pod does not exist");
  if (id.empty() || !worker->isRunning(id)) return r->plain(404, fmt::format("container {} not found in pod {}", r->parts.back(), r->parts[2]));
  cri::AttachRequest a;
  a.containerId = id;
  a.stdin = r->flag("input");
  a.stdout = r->flag("output");
  a.tty = worker->hasTty(r->parts.back());  // the container's word counts
  a.stderr = r->flag("error") && !a.tty;
  if (!a.stdin && !a.stdout && !a.stderr) return r->plain(400, "you must specify at least 1 of stdin, stdout, stderr");
  stream(r, [this, a] { return runtime_.attach(a); });
}

void KubeletServer::portForward(const RequestPtr& r) {
  auto worker = host_.worker(r->parts[1], r->parts[2]);
  std::string id = worker ? worker->sandboxId() : "";
  if (id.empty()) return r->plain(404, "pod does not exist or has no sandbox");
  cri::PortForwardRequest p;
  p.podSandboxId = id;
  for (std::string_view port : split(r->get("port"), ',')) {
    if (auto n = parseInt64(port)) p.port.push_back(static_cast<int32_t>(*n));  // WebSocket names them at the start
  }
  stream(r, [this, p] { return runtime_.portForward(p); });
}

void KubeletServer::run(const RequestPtr& r) {
  auto worker = host_.worker(r->parts[1], r->parts[2]);
  std::string id = worker ? worker->containerId(r->parts.back(), false) : "";
  if (id.empty()) return r->plain(404, "container not found");
  std::vector<std::string> command;
  for (std::string_view word : split(r->get("cmd"), ' ')) command.emplace_back(word);
  pool_.post([self = shared_from_this(), r, id, command] {
    auto done = self->runtime_.execSync(id, command, 0);
    if (!done.ok()) return r->plain(500, done.status().message());
    http::Headers h;
    h.add("content-type", "text/plain");
    r->exchange->respond(200, std::move(h), http::Body(done->stdout.str() + done->stderr.str()));
  });
}

// --- views -------------------------------------------------------------------------------------------------

void KubeletServer::listPods(const RequestPtr& r) {
  v1::PodList list;
  for (const auto& pod : host_.pods()) {
    v1::Pod copy = *pod;
    copy.metadata.annotations["kubernetes.io/config.source"] = isStatic(*pod) ? "file" : "api";
    list.items.push_back(std::move(copy));
  }
  r->json(codec::toJson(list));
}

void KubeletServer::summary(const RequestPtr& r) {
  pool_.post([self = shared_from_this(), r] { r->json(statsSummary(self->options_, self->host_.pods())); });
}

void KubeletServer::configz(const RequestPtr& r) {
  if (options_.configz.empty()) return r->text(404, "404 page not found");
  r->json(options_.configz);
}

void KubeletServer::metrics(const RequestPtr& r) {
  std::string out;
  MetricRegistry::process().writeText(out);
  out += runningMetrics(options_, host_.pods());
  http::Headers h;
  h.add("content-type", kMetricsContentType);
  r->exchange->respond(200, std::move(h), http::Body(std::move(out)));
}

}  // namespace km::kubelet
