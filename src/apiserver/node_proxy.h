// NodeProxy: log, exec, attach and portforward of pods, handed on to the kubelet of the pod's node. The API server shows the
// kubelet its own client certificate; what the user asks for is translated as upstream does.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "api/types/core_v1.h"
#include "apiserver/resource_handlers.h"
#include "apiserver/resource_proxy.h"
#include "apiserver/resources.h"
#include "async/file_watch.h"
#include "async/tls.h"
#include "http/client.h"

namespace km::apiserver {

struct NodeProxyOptions {
  std::string clientCertificateFile, clientKeyFile;
  std::string certificateAuthorityFile;  // empty: kubelets' certificates are not verified, as upstream without the flag
};

// Where a kubelet serves: by the node's addresses (InternalIP, ExternalIP, Hostname, in this order).
Result<http::Endpoint> kubeletEndpoint(const api::core_v1::Node& node);
// The container that is meant when none is named, or the one named; errors as upstream words them.
Result<std::string> chooseContainer(const api::core_v1::Pod& pod, std::string_view asked);

class NodeProxy {
 public:
  // The resources must outlive the proxy, and the loops that carry its requests.
  NodeProxy(const Resources& resources, NodeProxyOptions options);
  ~NodeProxy();

  Status start(async::Loop& loop);  // that looks after the files  // reads the certificates
  void registerWith(ResourceHandlers& handlers);

 private:
  struct Way {
    http::Endpoint endpoint;
    std::string target;  // path and query
  };
  Result<Way> wayTo(const HttpCall& http, const Call& call);
  void logs(const HttpCallPtr& http, const CallPtr& call);
  void stream(const HttpCallPtr& http, const CallPtr& call);
  http::Client& clientOn(async::Loop& loop);

  const Resources& resources_;
  const NodeProxyOptions options_;
  std::shared_ptr<async::TlsContext> tls_;
  std::unique_ptr<async::FileWatch> tlsFiles_;
  std::unique_ptr<ResourceProxy> http_;
  std::mutex mutex_;
  std::map<async::Loop*, std::unique_ptr<http::Client>> clients_;  // one a loop, since a pair of streams shares its loop
};

}  // namespace km::apiserver
