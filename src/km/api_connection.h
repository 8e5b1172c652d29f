// What a part that runs alone needs to speak to an API server: a loop, a client and informers, made from a kubeconfig.
#pragma once

#include <memory>
#include <string>

#include "async/loop.h"
#include "client/client.h"
#include "client/http_client.h"
#include "client/informer.h"

namespace km {

struct ApiConnection {
  // An empty path means the service account of the pod that this runs in; `master`, if given, is the server's URL.
  // `threads` do the work of informers and of whoever else uses the pool.
  static Result<std::unique_ptr<ApiConnection>> open(const std::string& kubeconfig, const std::string& master,
                                                     const std::string& userAgent, int threads = 2);
  explicit ApiConnection(int threads) : pool(threads) {}
  ~ApiConnection();
  // Ends informers, client and pool, in this order; what uses them must be gone.
  void close();

  client::RestConfig config;
  async::LoopGroup loops{1, "loop"};
  client::WorkerPool pool;
  client::Timers timers;
  std::unique_ptr<client::Client> client;
  std::unique_ptr<client::InformerFactory> informers;
};

}  // namespace km
