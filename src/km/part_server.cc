#include "km/part_server.h"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>
#include <thread>

#include "api/field_error.h"
#include "api/types/authorization_v1.h"
#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"
#include "async/file_watch.h"
#include "async/tls.h"
#include "authn/delegation.h"
#include "base/flags.h"
#include "base/log.h"
#include "base/stop_wait.h"
#include "base/metrics.h"
#include "base/strings.h"
#include "http/server.h"
#include "km/data_lock.h"
#include "pki/certificate.h"

namespace km {
namespace {

void answer(http::Exchange& exchange, int code, std::string text, std::string_view type = "text/plain; charset=utf-8") {
  http::Headers h;
  h.add("content-type", type);
  h.add("cache-control", "no-cache, private");
  h.add("x-content-type-options", "nosniff");
  exchange.respond(code, std::move(h), http::Body(std::move(text)));
}

// What is asked for, whoever asks.
class Pages {
 public:
  Pages(std::vector<HealthCheck> checks, std::vector<std::string> paths, std::map<std::string, std::string> texts)
      : checks_(std::move(checks)), paths_(std::move(paths)), texts_(std::move(texts)) {
    checks_.insert(checks_.begin(), {"ping", [] { return Status(); }});
  }

  void serve(http::Exchange& exchange) const {
    const http::Request& r = exchange.request();
    if (r.method != "GET" && r.method != "HEAD") return answer(exchange, 405, "Method Not Allowed\n");
    std::string_view path = r.path;
    if (auto page = texts_.find(r.path); page != texts_.end()) {
      bool json = page->second.starts_with('{');
      return answer(exchange, 200, page->second, json ? "application/json" : "text/plain; charset=utf-8");
    }
    std::string_view root = path.substr(0, path.find('/', 1));
    if (std::find(paths_.begin(), paths_.end(), root) == paths_.end()) return answer(exchange, 404, "404 page not found\n");
    if (root == "/metrics") {
      if (path != root) return answer(exchange, 404, "404 page not found\n");
      std::string text;
      MetricRegistry::process().writeText(text);
      return answer(exchange, 200, std::move(text), "text/plain; version=0.0.4; charset=utf-8; escaping=underscores");
    }
    health(exchange, root.substr(1), path.substr(root.size()));
  }

 private:
  // As upstream's health endpoints: "ok", or every check with its answer where one failed or ?verbose asks.
  void health(http::Exchange& exchange, std::string_view endpoint, std::string_view single) const {
    if (single == "/") single = "";
    std::string text;
    bool failed = false, known = single.empty();
    for (const HealthCheck& c : checks_) {
      if (!single.empty() && single.substr(1) != c.name) continue;
      known = true;
      Status s = c.check();
      failed = failed || !s.ok();
      text += s.ok() ? fmt::format("[+]{} ok\n", c.name) : fmt::format("[-]{} failed: reason withheld\n", c.name);
    }
    if (!known) return answer(exchange, 404, "404 page not found\n");
    bool verbose = exchange.request().query.find("verbose") != std::string::npos;
    if (failed) return answer(exchange, 500, fmt::format("{}{} check failed\n", text, endpoint));
    answer(exchange, 200, verbose && single.empty() ? fmt::format("{}{} check passed\n", text, endpoint) : "ok");
  }

  std::vector<HealthCheck> checks_;
  const std::vector<std::string> paths_;
  const std::map<std::string, std::string> texts_;
};

// Lives on while an answer of the API server is awaited.
class Serving : public http::Handler, public std::enable_shared_from_this<Serving> {
 public:
  explicit Serving(Pages pages) : pages_(std::move(pages)) {}

  void delegate(client::Client& client, std::vector<std::string> alwaysAllow) {
    delegation_ = std::make_unique<authn::Delegation>(client, Clock::system(), authn::DelegationOptions{.anonymous = true});
    alwaysAllow_ = std::move(alwaysAllow);
  }

  void handle(std::shared_ptr<http::Exchange> exchange) override {
    const std::string& path = exchange->request().path;
    if (!delegation_ || isOpen(path)) return pages_.serve(*exchange);
    delegation_->authenticate(exchange->request(), [this, self = shared_from_this(), exchange](Result<authn::UserInfo> user) {
      if (!user.ok()) return answer(*exchange, user.status().code(), user.status().message() + "\n");
      const http::Request& r = exchange->request();
      api::authorization_v1::SubjectAccessReviewSpec what;
      auto& attributes = what.nonResourceAttributes.ensure();
      attributes.path = r.path;
      attributes.verb = toLower(r.method);
      delegation_->authorize(*user, std::move(what), [this, self, exchange, name = user->name](Status s) {
        const http::Request& asked = exchange->request();
        if (s.ok()) return pages_.serve(*exchange);
        if (s.code() != 403) return answer(*exchange, 500, "Internal Server Error: " + api::goQuote(asked.path) + ": " + s.message() + "\n");
        answer(*exchange, 403, fmt::format("Forbidden: User {} cannot {} path {}\n", api::goQuote(name), toLower(asked.method), api::goQuote(asked.path)));
      });
    });
  }

 private:
  // A rule that ends with * stands for all that begins so.
  bool isOpen(std::string_view path) const {
    return std::any_of(alwaysAllow_.begin(), alwaysAllow_.end(), [&](std::string_view rule) {
      return rule.ends_with('*') ? path.starts_with(rule.substr(0, rule.size() - 1)) : path == rule;
    });
  }

  const Pages pages_;
  std::unique_ptr<authn::Delegation> delegation_;
  std::vector<std::string> alwaysAllow_;
};

class Listening : public PartServer {
 public:
  static Result<std::unique_ptr<PartServer>> start(async::LoopGroup& loops, std::shared_ptr<Serving> serving, const std::string& address, int port,
                                                   std::shared_ptr<async::TlsContext> tls,
                                                   std::unique_ptr<async::FileWatch> tlsFiles = nullptr) {
    static std::once_flag once;
    std::call_once(once, [] { MetricRegistry::process().addProcessMetrics(); });
    auto out = std::make_unique<Listening>();
    out->tlsFiles_ = std::move(tlsFiles);
    out->server_ = std::make_unique<http::Server>(loops, std::move(serving));
    KM_ASSIGN(out->port_, out->server_->listen(address, port, std::move(tls)));
    return std::unique_ptr<PartServer>(std::move(out));
  }
  int port() const override { return port_; }

  // Without a client CA of its own the part believes the certificates that the API server believes, as the ConfigMap in kube-system tells.
  // Looked up in the background: the API server may come later.
  void lookUpClientCa(client::Client& client, std::shared_ptr<async::TlsContext> context, async::TlsServerOptions tls, async::Loop& loop) {
    lookup_ = std::jthread([this, &client, context, tls, &loop](std::stop_token stop) mutable {
      for (Duration pause = kFirstLookup; !stop.stop_requested(); pause = std::min<Duration>(pause * 2, kLastLookup)) {
        auto map = client.get(client::target(api::core_v1::ConfigMap::kType, "kube-system", "extension-apiserver-authentication"));
        const auto* ca = map.ok() ? (*map)->as<api::core_v1::ConfigMap>().data.find("client-ca-file") : nullptr;
        if (ca != nullptr) {
          tls.clientCaPem = ca->view();
          if (Status s = context->reload(tls); !s.ok()) KM_LOG(ERROR, "client-ca-file of extension-apiserver-authentication: {}", s.message());
          tlsFiles_ = async::renewFromFiles(loop, context, tls);  // the CA stays when the files change
          return;
        }
        if (map.ok() || map.status().code() == 404 || map.status().code() == 403) {
          KM_LOG(WARNING, "no client certificates count: {}", map.ok() ? "the API server names no client CA" : map.status().message());
          return;
        }
        waitFor(stop, pause);
      }
    });
  }

 private:
  static constexpr Duration kFirstLookup = std::chrono::milliseconds(500), kLastLookup = std::chrono::seconds(10);
  std::unique_ptr<async::FileWatch> tlsFiles_;
  std::unique_ptr<http::Server> server_;
  int port_ = 0;
  std::jthread lookup_;
};

// A certificate of its own where none is given, as upstream makes one in memory.
Status ownCertificate(async::TlsServerOptions& tls, const std::string& address) {
  KM_ASSIGN(pki::Key key, pki::Key::generate());
  pki::CertificateSpec spec;
  spec.commonName = hostName();
  spec.dnsNames = {"localhost", hostName()};
  spec.ips = {address, "127.0.0.1"};
  spec.notBefore = Clock::system().now();
  spec.notAfter = pki::addTo(spec.notBefore, std::chrono::hours(24 * 365));
  spec.server = true;
  KM_ASSIGN(pki::Certificate certificate, pki::selfSigned(spec, key));
  tls.certificatePem = certificate.pem();
  tls.keyPem = key.privatePem();
  return {};
}

}  // namespace

void PartServerFlags::addTo(FlagSet& flags) {
  flags.addIp(&bindAddress, "bind-address", "The IP address on which to listen for the --secure-port port.");
  flags.addInt(&securePort, "secure-port", "The `port` on which to serve HTTPS with authentication and authorization. If 0, don't serve HTTPS at all.");
  flags.add(&tlsCertFile, "tls-cert-file", "`File` containing the default x509 Certificate for HTTPS. Without it one is made in memory.");
  flags.add(&tlsPrivateKeyFile, "tls-private-key-file", "`File` containing the default x509 private key matching --tls-cert-file.");
  flags.add(&clientCaFile, "client-ca-file", "Requests with a client certificate signed by one of the authorities in the `file` are of the user that it names.");
  tls.addTo(flags);
  flags.add(&alwaysAllow, "authorization-always-allow-paths", "A list of HTTP `paths` to skip during authorization, i.e. these are authorized without contacting the API server.");
}

Result<std::unique_ptr<PartServer>> PartServer::secure(const PartServerFlags& flags, client::Client& client, async::LoopGroup& loops,
                                                       std::vector<HealthCheck> checks, std::map<std::string, std::string> pages) {
  if (flags.securePort == 0) return std::unique_ptr<PartServer>();
  async::TlsServerOptions tls;
  tls.certificateFile = flags.tlsCertFile;
  tls.keyFile = flags.tlsPrivateKeyFile;
  tls.clientCaFile = flags.clientCaFile;
  flags.tls.applyTo(tls);
  if (flags.tlsCertFile.empty()) KM_TRY(ownCertificate(tls, flags.bindAddress));
  KM_ASSIGN(auto context, async::TlsContext::server(tls));
  auto serving = std::make_shared<Serving>(Pages(std::move(checks), {"/healthz", "/livez", "/readyz", "/metrics"}, std::move(pages)));
  serving->delegate(client, flags.alwaysAllow);
  auto tlsFiles = async::renewFromFiles(loops.at(0), context, tls);
  KM_ASSIGN(auto server, Listening::start(loops, std::move(serving), flags.bindAddress, flags.securePort, context, std::move(tlsFiles)));
  if (flags.clientCaFile.empty()) static_cast<Listening&>(*server).lookUpClientCa(client, context, tls, loops.at(0));
  return server;
}

Result<std::unique_ptr<PartServer>> PartServer::plain(const std::string& address, async::LoopGroup& loops, std::vector<std::string> paths,
                                                      std::vector<HealthCheck> checks, std::map<std::string, std::string> pages) {
  if (address.empty()) return std::unique_ptr<PartServer>();
  size_t colon = address.rfind(':');
  auto port = colon == std::string::npos ? std::nullopt : parseInt64(std::string_view(address).substr(colon + 1));
  if (!port || *port < 0 || *port > 65535) return errors::badRequest(fmt::format("{} is no ADDRESS:PORT", address));
  std::string host = address.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  auto serving = std::make_shared<Serving>(Pages(std::move(checks), std::move(paths), std::move(pages)));
  return Listening::start(loops, std::move(serving), host, static_cast<int>(*port), nullptr);
}

}  // namespace km
