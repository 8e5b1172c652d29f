// Scheduler: watches the cluster, gives each waiting pod a node, and says why where there is none.
//
// Everything happens on one lane of the pool: handlers and answers put what they have to tell into an inbox,
// and the lane empties it before each attempt. So an attempt is never interrupted, and nobody waits for one.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "client/client.h"
#include "client/event_series.h"
#include "client/informer.h"
#include "client/timers.h"
#include "client/worker_pool.h"
#include "scheduler/config.h"

namespace km::scheduler {

class ApiWriter;
class Core;
class Metrics;

class Scheduler {
 public:
  // All must outlive the scheduler. `hostName`: for the reporter of its events.
  Scheduler(client::Client& client, client::InformerFactory& informers, client::WorkerPool& pool,
            client::Timers& timers, const std::string& hostName, Config config = {});
  ~Scheduler();  // stop()

  // Adds its handlers; begins once the informers, which the caller starts, have synced.
  void start();
  // No attempt begins afterwards; waits for one in progress. What is being written ends by itself before it
  // returns.
  void stop();

 private:
  using Item = std::function<void(Core&)>;
  // What callbacks that nobody can take back hold: they find null once the scheduler stops.
  struct Gate {
    std::mutex mutex;
    Scheduler* scheduler;
  };
  std::function<void()> guarded(void (Scheduler::*call)());
  void tell(Item item);
  void wake();
  void begin();
  void run();
  void watch(client::SharedInformer& informer,
             void (Core::*on)(const api::ObjectPtr&, const api::ObjectPtr&));
  void watchOther(client::SharedInformer& informer, uint32_t add, uint32_t update, uint32_t remove);

  client::InformerFactory& informers_;
  std::vector<client::SharedInformer*> needed_;
  client::Timers& timers_;
  std::unique_ptr<Metrics> metrics_;
  std::map<std::string, std::unique_ptr<client::SeriesRecorder>, std::less<>> recorders_;  // by schedulerName
  std::unique_ptr<ApiWriter> writer_;
  std::unique_ptr<Core> core_;  // on the lane only

  std::shared_ptr<Gate> gate_ = std::make_shared<Gate>();
  std::mutex mutex_;  // guards what follows; after a gate's
  std::vector<Item> inbox_;
  bool running_ = false, started_ = false, stopped_ = false;
  client::Timers::Id timer_ = 0;

  client::Lane lane_;
  std::vector<std::unique_ptr<client::Registration>> registrations_;
};

}  // namespace km::scheduler
