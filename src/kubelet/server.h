// KubeletServer: HTTPS on :10250 for the API server and monitoring: logs, exec, attach, port-forward, pods, stats, metrics.
// A client shows a certificate of the cluster's CA or a token, and the API server is asked who that is and whether it may (nodes/proxy and so on).
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "async/file_watch.h"
#include "authn/delegation.h"
#include "client/client.h"
#include "cri/runtime.h"
#include "http/client.h"
#include "http/server.h"
#include "kubelet/elastic_pool.h"
#include "kubelet/log_stream.h"
#include "kubelet/options.h"
#include "kubelet/pod_util.h"

namespace km::kubelet {

class PodWorker;

// What the server asks of the kubelet. Any thread.
struct ServerHost {
  std::function<std::vector<PodPtr>()> pods;                                                     // with their statuses
  std::function<std::shared_ptr<PodWorker>(std::string_view ns, std::string_view name)> worker;  // null if unknown
};

class KubeletServer : public http::Handler, public std::enable_shared_from_this<KubeletServer> {
 public:
  // The loop carries the connections. All must outlive stop().
  KubeletServer(const Options& options, ServerHost host, client::Client& client, cri::Runtime& runtime, ElasticPool& pool, async::Loop& loop);
  ~KubeletServer() override;

  Result<int> start();  // the port
  void stop();          // not on the loop
  // Follows of this container's log may end. Any thread.
  void containerEnded(const std::string& id);

  void handle(std::shared_ptr<http::Exchange> exchange) override;

 private:
  struct Request;
  using RequestPtr = std::shared_ptr<Request>;
  void authorize(const RequestPtr& r, const authn::UserInfo& user);
  void route(const RequestPtr& r);
  void logs(const RequestPtr& r);
  void stream(const RequestPtr& r, std::function<Result<std::string>()> url);
  void exec(const RequestPtr& r);
  void attach(const RequestPtr& r);
  void portForward(const RequestPtr& r);
  void run(const RequestPtr& r);
  void listPods(const RequestPtr& r);
  void summary(const RequestPtr& r);
  void configz(const RequestPtr& r);
  void metrics(const RequestPtr& r);

  const Options& options_;
  ServerHost host_;
  authn::Delegation delegation_;
  cri::Runtime& runtime_;
  ElasticPool& pool_;
  async::Loop& loop_;
  std::unique_ptr<async::FileWatch> tlsFiles_;
  std::shared_ptr<async::LoopGroup> loops_;  // one loop for the connections
  std::shared_ptr<http::Client> http_;       // of that loop
  std::unique_ptr<http::Server> server_;
  std::multimap<std::string, std::weak_ptr<LogStream>> follows_;  // on the loop, by container id
};

}  // namespace km::kubelet
