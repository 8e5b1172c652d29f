#include "apiserver/node_proxy.h"

#include <fmt/format.h>

#include "apiserver/stream_translator.h"
#include "base/base64.h"
#include "base/strings.h"
#include "http/forward.h"
#include "http/spdy_connection.h"
#include "http/text.h"
#include "http/websocket.h"

namespace km::apiserver {
namespace {

using api::core_v1::Node;
using api::core_v1::Pod;

std::string escape(std::string_view text) {
  std::string out;
  for (unsigned char c : text) {
    bool plain = std::isalnum(c) || c == '-' || c == '_' || c == '.' || c == '~';
    out += plain ? std::string(1, static_cast<char>(c)) : fmt::format("%{:02X}", c);
  }
  return out;
}

void add(std::string& query, std::string_view key, std::string_view value) {
  query += query.empty() ? '?' : '&';
  query += escape(key) + "=" + escape(value);
}

bool truth(std::string_view v) {
  return v == "1" || v == "true" || v == "t" || v == "T" || v == "TRUE" || v == "True";
}

std::string logQuery(const Query& q) {
  std::string out;
  for (std::string_view flag : {"follow", "previous", "timestamps"}) {
    if (truth(q.get(flag))) add(out, flag, "true");
  }
  for (std::string_view key : {"sinceSeconds", "sinceTime", "tailLines", "limitBytes", "stream"}) {
    if (!q.get(key).empty()) add(out, key, q.get(key));
  }
  return out;
}

bool asks(const Query& q, std::string_view stream, bool byDefault) {
  return q.has(stream) ? truth(q.get(stream)) : byDefault;
}

std::string streamQuery(const Query& q, bool command, bool tty, bool byDefault) {
  std::string out;
  if (truth(q.get("stdin"))) add(out, "input", "1");
  if (asks(q, "stdout", byDefault)) add(out, "output", "1");
  if (asks(q, "stderr", byDefault)) add(out, "error", "1");
  if (tty && truth(q.get("tty"))) add(out, "tty", "1");
  if (command) {
    for (std::string_view c : q.all("command")) add(out, "command", c);
  }
  return out;
}

std::string names(const auto& containers) {
  std::string out;
  for (const auto& c : containers) out += (out.empty() ? "" : " ") + c.name.str();
  return out;
}

constexpr size_t kMaxQueued = 256 << 10;
Status refused(int status, std::string body);

// A log as the messages of a WebSocket: "binary.k8s.io", or base64 in texts.
struct LogSocket : http::WebSocketHandler {
  std::shared_ptr<http::WebSocket> socket;
  std::shared_ptr<http::Call> call;
  bool base64 = false;

  void onMessage(bool, std::string_view) override {}
  void onDrained() override {
    if (call) call->resumeReading();
  }
  void onClosed(uint16_t, std::string_view) override {
    socket.reset();
    if (call) call->cancel();
    call.reset();
  }
  void send(std::string_view bytes) {
    if (!socket) return;
    base64 ? socket->send(false, base64Encode(bytes)) : socket->send(true, bytes);
    if (socket->queued() > kMaxQueued && call) call->pauseReading();
  }
  void end() {
    if (socket) socket->close(1000, "");
    call.reset();
  }
};

void sendLogBySocket(http::Client& client, const http::Endpoint& endpoint, http::CallOptions options,
                     HttpCallPtr http) {
  auto log = std::make_shared<LogSocket>();
  auto refusal = std::make_shared<std::string>();
  auto status = std::make_shared<int>(0);
  http::CallHandler h;
  h.onHead = [log, http, status](int code, const http::Headers&) {
    *status = code;
    if (code != 200) return;
    auto socket = http::acceptWebSocket(*http->exchange, {"binary.k8s.io", "base64.binary.k8s.io"});
    if (!socket.ok()) {
      http->fail(socket.status());
      if (log->call) log->call->cancel();
      return;
    }
    log->base64 = (*socket)->protocol() == "base64.binary.k8s.io";
    log->socket = *socket;
    log->socket->setHandler(log);
  };
  h.onData = [log, refusal, status](std::string_view bytes) {
    *status == 200 ? log->send(bytes) : static_cast<void>(refusal->append(bytes.substr(0, 4096)));
  };
  h.onEnd = [log, http, refusal, status](const http::Headers&) {
    *status == 200 ? log->end() : http->fail(refused(*status, *refusal));
  };
  h.onError = [log, http, status](const Status& why) {
    *status == 200 ? log->end() : http->fail(errors::internal(why.message()));
  };
  log->call = client.send(endpoint, std::move(options), std::move(h));
}

// What a kubelet said no with, as the API's client sees it.
Status refused(int status, std::string body) {
  while (!body.empty() && body.back() == '\n') body.pop_back();
  if (status == 400) return errors::badRequest(body);
  if (status == 404)
    return Status(404, "NotFound", body.empty() ? "the server could not find the requested resource" : body);
  if (status == 403) return Status(403, "Forbidden", body);
  if (status == 422) return Status(422, "Invalid", body);
  return errors::internal(body.empty() ? fmt::format("the kubelet answered with status {}", status) : body);
}

}  // namespace

Result<http::Endpoint> kubeletEndpoint(const Node& node) {
  http::Endpoint e;
  for (std::string_view type : {"InternalIP", "ExternalIP", "Hostname"}) {
    for (const auto& a : node.status.addresses) {
      if (a.type == type && e.host.empty()) e.host = a.address.str();
    }
  }
  if (e.host.empty())
    return errors::internal(fmt::format("no preferred addresses found; known addresses: [] of node {}",
                                        node.metadata.name.view()));
  e.port = node.status.daemonEndpoints.kubeletEndpoint.Port;
  if (e.port == 0) e.port = 10250;
  e.speak = http::Endpoint::Speak::kHttp1;
  return e;
}

Result<std::string> chooseContainer(const Pod& pod, std::string_view asked) {
  if (asked.empty()) {
    if (pod.spec.containers.size() == 1) return pod.spec.containers[0].name.str();
    std::string all = names(pod.spec.initContainers);
    for (const std::string& more : {names(pod.spec.containers), names(pod.spec.ephemeralContainers)}) {
      if (!more.empty()) all += (all.empty() ? "" : " ") + more;
    }
    return errors::badRequest(fmt::format(
        "a container name must be specified for pod {}, choose one of: [{}]", pod.metadata.name.view(), all));
  }
  auto has = [&](const auto& list) {
    for (const auto& c : list) {
      if (c.name == asked) return true;
    }
    return false;
  };
  if (has(pod.spec.containers) || has(pod.spec.initContainers) || has(pod.spec.ephemeralContainers))
    return std::string(asked);
  return errors::badRequest(
      fmt::format("container {} is not valid for pod {}", asked, pod.metadata.name.view()));
}

NodeProxy::NodeProxy(const Resources& resources, NodeProxyOptions options)
    : resources_(resources), options_(std::move(options)) {}

// A client goes on its loop.
NodeProxy::~NodeProxy() {
  for (auto& [loop, client] : clients_) loop->post([c = std::shared_ptr<http::Client>(std::move(client))] {});
}

namespace {

// A stream to a kubelet ends with the server.
void cutAtStop(LongRunning& longRunning, const HttpCallPtr& http) {
  uint64_t key = longRunning.add([weak = std::weak_ptr(http->exchange)] {
    if (auto exchange = weak.lock()) exchange->reset();
  });
  http->ending = std::shared_ptr<void>(nullptr, [&longRunning, key](void*) { longRunning.remove(key); });
}

}  // namespace

Status NodeProxy::start(async::Loop& loop) {
  async::TlsClientOptions tls;
  tls.certificateFile = options_.clientCertificateFile;
  tls.keyFile = options_.clientKeyFile;
  tls.caFile = options_.certificateAuthorityFile;
  tls.insecure = options_.certificateAuthorityFile.empty();
  tls.alpn = {"http/1.1"};
  KM_ASSIGN(tls_, async::TlsContext::client(tls));
  // Requests to kubelets are few, and their connections short-lived: the next ones have the new certificate.
  tlsFiles_ = async::renewFromFiles(loop, tls_, tls);
  http_ = std::make_unique<ResourceProxy>(resources_, tls_, [this](async::Loop& loop) -> http::Client& { return clientOn(loop); });
  return http_->start();
}

void NodeProxy::registerWith(ResourceHandlers& handlers) {
  LongRunning& longRunning = handlers.longRunning();
  http_->registerWith(handlers);
  handlers.handleSpecially("", "pods", "log", [this, &longRunning](HttpCallPtr http, CallPtr call) {
    cutAtStop(longRunning, http);
    logs(http, call);
  });
  for (std::string_view sub : {"exec", "attach", "portforward"}) {
    handlers.handleSpecially("", "pods", sub, [this, &longRunning](HttpCallPtr http, CallPtr call) {
      cutAtStop(longRunning, http);
      stream(http, call);
    });
  }
}

http::Client& NodeProxy::clientOn(async::Loop& loop) {
  std::lock_guard lock(mutex_);
  auto& c = clients_[&loop];
  if (!c) c = std::make_unique<http::Client>(loop);
  return *c;
}

Result<NodeProxy::Way> NodeProxy::wayTo(const HttpCall& http, const Call& call) {
  api::ObjectPtr o = resources_.cache("", "pods").get(call.ns, call.name);
  if (!o) return errors::notFound({"", "pods"}, call.name);
  const Pod& pod = o->as<Pod>();
  const std::string& sub = call.subresource;
  std::string container;
  if (sub != "portforward") {
    KM_ASSIGN(container, chooseContainer(pod, http.query.get("container")));
  }
  if (pod.spec.nodeName.empty()) {
    if (sub == "log") return Way{};  // nothing was logged yet
    return errors::badRequest(fmt::format("pod {} does not have a host assigned", call.name));
  }
  api::ObjectPtr node = resources_.cache("", "nodes").get("", pod.spec.nodeName);
  if (!node) return errors::notFound({"", "nodes"}, pod.spec.nodeName);
  Way way;
  KM_ASSIGN(way.endpoint, kubeletEndpoint(node->as<Node>()));
  way.endpoint.tls = tls_;
  std::string at = fmt::format("/{}/{}", escape(call.ns), escape(call.name));
  if (sub == "log") way.target = "/containerLogs" + at + "/" + escape(container) + logQuery(http.query);
  if (sub == "exec")
    way.target = "/exec" + at + "/" + escape(container) + streamQuery(http.query, true, true, false);
  if (sub == "attach")
    way.target = "/attach" + at + "/" + escape(container) + streamQuery(http.query, false, true, true);
  if (sub == "portforward") {
    way.target = "/portForward" + at;
    std::string ports;
    for (std::string_view p : http.query.all("ports")) ports += (ports.empty() ? "" : ",") + std::string(p);
    std::string query;
    if (!ports.empty()) add(query, "port", ports);
    way.target += query;
  }
  return way;
}

void NodeProxy::logs(const HttpCallPtr& http, const CallPtr& call) {
  if (call->verb != "get")
    return http->fail(
        Status(405, "MethodNotAllowed", "the server does not allow this method on the requested resource"));
  if (http->query.has("sinceSeconds") && http->query.has("sinceTime")) {
    return http->fail(Status(422, "Invalid",
                             "PodLogOptions is invalid: sinceSeconds: Forbidden: at most one of `sinceTime` "
                             "or `sinceSeconds` may be specified"));
  }
  // The choice of one stream is behind a gate that is off.
  if (http->query.has("stream")) {
    Status no(
        422, "Invalid",
        fmt::format("PodLogOptions \"{}\" is invalid: stream: Forbidden: may not be specified", call->name));
    no.mutableDetails() = {.name = call->name,
                           .kind = "PodLogOptions",
                           .causes = {{"FieldValueForbidden", "Forbidden: may not be specified", "stream"}}};
    return http->fail(no);
  }
  auto way = wayTo(*http, *call);
  if (!way.ok()) return http->fail(way.status());
  if (way->target.empty()) return http->answer(204, {}, "");
  http::CallOptions options;
  options.target = way->target;
  if (http::isWebSocketUpgrade(http->request()))
    return sendLogBySocket(clientOn(http->exchange->loop()), way->endpoint, std::move(options), http);
  http::forwardAnswer(clientOn(http->exchange->loop()), way->endpoint, std::move(options), http->exchange,
                      [http](const auto&, int status, std::string body) {
                        // As upstream: kubectl understands the words.
                        http->fail(status == 502 ? errors::internal("dial the kubelet: " + body)
                                                 : refused(status, std::move(body)));
                      });
}

void NodeProxy::stream(const HttpCallPtr& http, const CallPtr& call) {
  if (call->verb != "create" && call->verb != "get")
    return http->fail(
        Status(405, "MethodNotAllowed", "the server does not allow this method on the requested resource"));
  auto way = wayTo(*http, *call);
  if (!way.ok()) return http->fail(way.status());
  const http::Request& request = http->request();
  bool webSocket = http::isWebSocketUpgrade(request);
  if (!webSocket && !http::isSpdyUpgrade(request))
    return http->fail(errors::badRequest("Upgrade request required"));
  auto refuse = [http](const auto&, int status, std::string body) {
    http->fail(status == 502 ? errors::internal("error dialing backend: " + body)
                             : refused(status, std::move(body)));
  };
  http::Client& client = clientOn(http->exchange->loop());
  // The runtime speaks WebSocket up to version 4 of the channels: what came later is translated here.
  if (webSocket && call->subresource != "portforward" && offersStreamClose(request)) {
    bool attach = call->subresource == "attach";
    StreamsAsked asked{truth(http->query.get("stdin")), asks(http->query, "stdout", attach),
                       asks(http->query, "stderr", attach), truth(http->query.get("tty"))};
    Status s = translateStreams(client, way->endpoint, way->target, asked, http->exchange);
    return s.ok() ? void() : http->fail(s);
  }
  std::string tunnelled = webSocket && call->subresource == "portforward" ? tunnelProtocol(request) : "";
  if (!tunnelled.empty())
    return tunnelStreams(client, way->endpoint, way->target, tunnelled, http->exchange, refuse);
  http::CallOptions options;
  options.method = webSocket ? "GET" : "POST";
  options.target = way->target;
  http::forwardUpgrade(client, way->endpoint, std::move(options), http->exchange, refuse);
}

}  // namespace km::apiserver
