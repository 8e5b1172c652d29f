// ResourceProxy: HTTP to pods, services and nodes through the API server (".../NAME/proxy/PATH"). NAME may say a scheme and a port:
// "http:web:8080". Answers stream through; changes of protocol are joined.
#pragma once

#include <memory>
#include <string>

#include "api/types/fwd.h"
#include "apiserver/resource_handlers.h"
#include "apiserver/resources.h"
#include "async/tls.h"
#include "http/client.h"

namespace km::apiserver {

// "SCHEME:NAME:PORT", "NAME:PORT" or "NAME"; scheme and port are empty where they are not given. False for other forms.
struct ProxyName {
  std::string scheme, name, port;
};
bool parseProxyName(std::string_view id, ProxyName& out);

class ResourceProxy {
 public:
  // `kubeletTls` shows our certificate to kubelets. The client comes with the loop of the request.
  using ClientOn = std::function<http::Client&(async::Loop&)>;
  ResourceProxy(const Resources& resources, std::shared_ptr<async::TlsContext> kubeletTls, ClientOn clientOn);

  Status start();
  void registerWith(ResourceHandlers& handlers);

 private:
  Result<http::Endpoint> endpoint(const Call& call) const;
  Result<http::Endpoint> podEndpoint(const Call& call, const ProxyName& name) const;
  bool isOfPod(std::string_view ns, const api::core_v1::EndpointAddress& address) const;
  Result<http::Endpoint> serviceEndpoint(const Call& call, const ProxyName& name) const;
  Result<http::Endpoint> nodeEndpoint(const Call& call, const ProxyName& name) const;
  void serve(const HttpCallPtr& http, const CallPtr& call);

  const Resources& resources_;
  const std::shared_ptr<async::TlsContext> kubeletTls_;
  const ClientOn clientOn_;
  std::shared_ptr<async::TlsContext> anyTls_;  // certificates of pods and services are not verified
};

}  // namespace km::apiserver
