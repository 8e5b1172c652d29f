// Kubelet: runs the pods that are bound to one node.
#pragma once

#include <memory>
#include <vector>

#include "client/client.h"
#include "client/events.h"
#include "client/timers.h"
#include "client/worker_pool.h"
#include "cri/runtime.h"
#include "kubelet/options.h"
#include "kubelet/pod_util.h"

namespace km::async {
class Loop;
}
namespace km::client {
class SharedInformer;
}

namespace km::kubelet {

class ElasticPool;

// What many kubelets of one process may have in common.
struct SharedParts {
  ElasticPool* pool = nullptr;                    // null: the kubelet has one of its own. To be stopped after stop(), before the destructor.
  client::SharedInformer* services = nullptr;     // null: one of its own
};

class Kubelet {
 public:
  // All must outlive the kubelet; the loop must run as long.
  Kubelet(Options options, client::Client& client, client::WorkerPool& pool, client::Timers& timers, async::Loop& loop, cri::Runtime& runtime,
          client::EventRecorder recorder, SharedParts shared = {});
  ~Kubelet();  // stop()

  // Registers the node, takes over what runs, and goes on in the background. Blocks until the runtime has answered.
  Status start();
  // Ends all activity. Containers go on running. Not on the loop or a worker.
  void stop();

  int port() const;                  // of the server, once started; 0 without one
  std::vector<PodPtr> pods() const;  // with their statuses, for /pods

  struct Core;

 private:
  std::shared_ptr<Core> core_;
};

}  // namespace km::kubelet
