// Scheduler: watches pods and nodes, gives each waiting pod a node, and says why where there is none.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "client/client.h"
#include "client/event_series.h"
#include "client/events.h"
#include "client/informer.h"
#include "client/timers.h"
#include "client/worker_pool.h"
#include "scheduler/cluster.h"
#include "scheduler/framework.h"
#include "scheduler/queue.h"

namespace km::scheduler {

struct Options {
  std::string schedulerName = "default-scheduler";
};

class Scheduler {
 public:
  // All must outlive the scheduler.
  Scheduler(client::Client& client, client::InformerFactory& informers, client::WorkerPool& pool,
            client::Timers& timers, const client::SeriesRecorder& recorder, Options options = {});
  ~Scheduler();  // stop()

  // Adds its handlers; begins once the informers, which the caller starts, have synced.
  void start();
  // No attempt begins afterwards; waits for one in progress. Bindings under way end by themselves before it
  // returns.
  void stop();

 private:
  struct Outcome {
    std::string node;  // empty: none
    std::string message;
    uint32_t wakes = ~0u;
  };

  void onPod(const api::ObjectPtr& before, const api::ObjectPtr& now);
  void onNode(const api::ObjectPtr& before, const api::ObjectPtr& now);
  void kick();  // an attempt may be possible: runs the cycle on the lane
  void cycle();
  Outcome schedule(const api::core_v1::Pod& pod);
  std::string explain(const api::core_v1::Pod& pod, const std::vector<FilterResult>& refused) const;
  void bind(QueuedPod q, const std::string& node);
  void reportFailure(const QueuedPod& q, const std::string& message, std::string_view reason);
  bool mine(const api::core_v1::Pod& pod) const { return pod.spec.schedulerName == options_.schedulerName; }
  Duration now() const;

  client::Client& client_;
  client::Timers& timers_;
  const client::SeriesRecorder& recorder_;
  const Options options_;
  client::SharedInformer& pods_;
  client::SharedInformer& nodes_;
  std::vector<Enabled> plugins_;

  std::mutex mutex_;  // guards what follows
  std::condition_variable idle_;
  Cluster cluster_;
  Queue queue_;
  bool started_ = false, stopped_ = false, scheduled_ = false;
  client::Timers::Id timer_ = 0;
  int binding_ = 0;
  size_t nextStart_ = 0;  // where the search over nodes begins, so that equal nodes take turns

  client::Lane lane_;
  std::vector<std::unique_ptr<client::Registration>> registrations_;
};

}  // namespace km::scheduler
