// Where the API is served, when several servers share a store: each keeps a lease under /registry/masterleases/ADDRESS
// (upstream's lease endpoint reconciler, so that a kube-apiserver may be among them), and the endpoints of the
// Service "kubernetes" are those whose lease lives.
#pragma once

#include <memory>
#include <string>

#include "apiserver/operations.h"
#include "async/loop.h"
#include "client/worker_pool.h"
#include "store/store.h"

namespace km::apiserver {

class ServerEndpoints : public std::enable_shared_from_this<ServerEndpoints> {
 public:
  // All must outlive it; the timer runs on the loop, the work on the pool.
  ServerEndpoints(Operations& operations, store::Store& store, async::Loop& loop, client::WorkerPool& pool,
                  std::string address, int port);

  // Takes the lease and writes the endpoints, then again every ten seconds. Blocks for the first time; an error
  // of that is told.
  Status start();
  // Gives the lease back and takes this server out of the endpoints. Blocks.
  void stop();

 private:
  static constexpr int64_t kTtlSeconds = 15;
  static constexpr Duration kInterval = std::chrono::seconds(10);

  void schedule();
  Status renew();
  Status reconcile();
  Status write(std::string_view group, std::string_view resource, api::MutableObject wanted, std::string_view part);
  std::string key() const;

  Operations& operations_;
  store::Store& store_;
  async::Loop& loop_;
  client::WorkerPool& pool_;
  const std::string address_;
  const int port_;
  std::unique_ptr<async::Timer> timer_;  // of the loop
  std::mutex mutex_;                     // one at a time
  int64_t generation_ = 0;
  bool stopped_ = false;                 // guarded by mutex_
};

}  // namespace km::apiserver
