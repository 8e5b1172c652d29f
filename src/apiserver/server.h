// ApiServer: store, caches, registries, filters and listener of one API server, composed. See
// docs/architecture.md, "life of a write".
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "admission/plugin.h"
#include "apiserver/impersonation.h"
#include "apiserver/operations.h"
#include "apiserver/rbac_guard.h"
#include "apiserver/resource_handlers.h"
#include "apiserver/resources.h"
#include "apiserver/tidier.h"
#include "apiserver/service_addresses.h"
#include "apiserver/service_ports.h"
#include "apiserver/subresources.h"
#include "async/file_watch.h"
#include "async/loop.h"
#include "authn/authenticator.h"
#include "authz/rbac.h"
#include "base/metrics.h"
#include "client/client.h"
#include "client/worker_pool.h"
#include "http/server.h"
#include "pki/key.h"
#include "registry/core/service_allocator.h"
#include "store/store.h"

namespace km::apiserver {

class Deadlines;
class Discovery;
class FlowControl;
class NodeProxy;
class ServerEndpoints;

struct ServerOptions {
  std::string bindAddress = "127.0.0.1";
  int securePort = 6443;
  std::string extraBindAddress;  // a second address to listen on, or empty
  std::string advertiseAddress;  // empty: the bind address
  async::TlsServerOptions tls;
  std::vector<pki::Key> serviceAccountKeys;  // verify; the first one signs
  std::vector<std::string> serviceAccountIssuers = {"https://kubernetes.default.svc.cluster.local"};
  std::vector<std::string> apiAudiences;  // empty: the first issuer
  std::string tokenAuthFile;
  bool anonymousAuth = true;
  bool bootstrapTokens = false;  // Secrets of bootstrap tokens authenticate
  bool nodeAuthorizer = true;    // nodes may what their pods need; without it RBAC alone decides
  std::string serviceClusterIpRange = "10.96.0.0/16";
  std::string nodePortRange = "30000-32767";
  std::vector<std::string> enableAdmissionPlugins, disableAdmissionPlugins;
  // How kubelets are spoken to, for logs and streams of pods. Without a client certificate there are none of
  // these.
  std::string kubeletClientCertificateFile, kubeletClientKeyFile, kubeletCertificateAuthorityFile;
  // Of every so many requests over HTTP/2, the connection gets GOAWAY: clients then spread over several servers.
  double goawayChance = 0;
  // At stop: the time over which watches are ended, rather than all at once.
  Duration shutdownWatchGrace{0};
  // At stop: new requests are told 429 until those under way have ended, and only then the port closes.
  bool shutdownSendRetryAfter = false;
  Duration requestTimeout = std::chrono::seconds(60);  // of requests that are not long-running
  int maxRequestsInflight = 400;
  int maxMutatingRequestsInflight = 200;
  bool enableAggregatorRouting = false;
  // Other servers share the store: their places are kept beside this one's, and its health is asked for, each
  // time no longer than said.
  bool sharedStore = false;
  Duration storeHealthTimeout = std::chrono::seconds(2), storeReadyTimeout = std::chrono::seconds(2);
};

class ApiServer : public http::Handler, public std::enable_shared_from_this<ApiServer> {
 public:
  // All must outlive the server. `loops` carry the connections, `pool` what may block.
  ApiServer(ServerOptions options, store::Store& store, async::LoopGroup& loops, client::WorkerPool& pool,
            Clock& clock);
  ~ApiServer() override;

  // Reads the store, listens, and makes the objects every cluster has. Blocks.
  Status start();
  int port() const { return port_; }
  // From now on /readyz fails; all else goes on.
  void failReadiness() { stopping_ = true; }
  // Takes no new requests, lets running ones end within their time, ends watches and streams, closes. Blocks.
  void stop();

  // A client for a part of this process, as that user.
  std::unique_ptr<client::Client> localClient(authn::UserInfo user, std::string userAgent);
  // A bearer token that the HTTPS side takes for the user; for clients of this process that need HTTP.
  std::string issueLocalToken(authn::UserInfo user);

  Operations& operations() { return *operations_; }
  Subresources& subresources() { return subresources_; }
  ResourceHandlers& handlers() { return *handlers_; }
  const authz::Authorizer& authorizer() const { return *authorizer_; }
  const authn::Authenticator& authenticator() const { return authenticator_; }
  const authz::Rbac& rbac() const { return *rbac_; }
  const ServerOptions& options() const { return options_; }
  store::Store& store() { return store_; }
  client::WorkerPool& pool() { return pool_; }

  // http::Handler
  size_t bodyLimit(const http::Request& request) override;
  void handle(std::shared_ptr<http::Exchange> exchange) override;
  void tooLarge(std::shared_ptr<http::Exchange> exchange) override;

 private:
  class Lookup;
  class SystemAuthorizer;

  Status setUpAuthentication();
  Status setUpServices();
  void freeLostPorts();
  void setUpAdmission();
  void setUpSubresources();
  Status setUpNodeProxy();
  void serve(const HttpCallPtr& http);
  void route(const HttpCallPtr& http);
  void routeNonResource(const HttpCallPtr& http);
  void answerHealth(const HttpCallPtr& http, std::string_view path, bool storeAnswers);
  void checkHealth(const HttpCallPtr& http, std::string_view path);
  bool answerOpenApi(const HttpCallPtr& http, std::string_view path);
  void answerVersion(const HttpCallPtr& http);
  void answerRoot(const HttpCallPtr& http);
  bool authorize(const HttpCallPtr& http);
  bool refuse(const HttpCallPtr& http);
  void endLongRunning(const std::function<bool(Duration)>& pause);

  const ServerOptions options_;
  store::Store& store_;
  async::LoopGroup& loops_;
  client::WorkerPool& pool_;
  Clock& clock_;
  Resources resources_;
  Tidier tidier_;
  admission::Chain admission_;
  std::unique_ptr<Operations> operations_;
  std::unique_ptr<ResourceHandlers> handlers_;
  std::unique_ptr<NodeProxy> nodeProxy_;
  Subresources subresources_;
  std::unique_ptr<Discovery> discovery_;
  std::unique_ptr<Lookup> lookup_;
  authn::Authenticator authenticator_;
  authn::StaticTokens* localTokens_ = nullptr;  // owned by authenticator_
  std::unique_ptr<authz::Rbac> rbac_;
  std::unique_ptr<authz::Authorizer> authorizer_;
  std::shared_ptr<async::TlsContext> tls_;
  std::unique_ptr<async::FileWatch> tlsFiles_;
  std::unique_ptr<http::Server> http_;
  int port_ = 0;
  std::atomic<bool> ready_{false}, stopping_{false}, refusing_{false};
  std::shared_ptr<Deadlines> deadlines_;
  std::unique_ptr<FlowControl> flowControl_;
  std::unique_ptr<RbacGuard> guard_;
  ImpersonationModes impersonationModes_;
  std::unique_ptr<ServiceAddresses> addresses_;
  std::unique_ptr<ServicePorts> ports_;
  std::unique_ptr<async::Timer> lostPorts_;  // of the first loop
  std::shared_ptr<ServerEndpoints> endpoints_;  // of servers that share the store
  std::unique_ptr<registry::ServiceAllocator> services_;
  std::unique_ptr<client::Client> ownClient_;  // of the server itself
  std::string jwks_;
};

}  // namespace km::apiserver
