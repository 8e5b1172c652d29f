// NodeReporter: keeps the Node object and its Lease current.
#pragma once

#include <functional>
#include <memory>
#include <mutex>

#include "client/client.h"
#include "client/events.h"
#include "client/timers.h"
#include "cri/runtime.h"
#include "kubelet/elastic_pool.h"
#include "kubelet/node_status.h"

namespace km::kubelet {

class NodeReporter {
 public:
  // All must outlive the reporter. `port` tells the server's.
  NodeReporter(const Options& options, const Machine& machine, client::Client& client, cri::Runtime& runtime, ElasticPool& pool, client::Timers& timers,
               client::EventRecorder recorder, std::function<int()> port);
  ~NodeReporter();  // stop()

  // Registers the node and writes the first status and lease in the background, tried until it works; then goes on:
  // the lease every 10 s, the runtime looked at every 10 s, the status when it changed or every 5 minutes.
  void start();
  void stop();

 private:
  void arm(Duration delay);
  void turn();
  Status registerNode();
  Status report();
  Status renewLease();
  NodeFacts look();
  void tellTransitions(const api::core_v1::NodeStatus& before, const api::core_v1::NodeStatus& now);
  void event(std::string_view reason, std::string_view message);

  const Options& options_;
  const Machine& machine_;
  client::Client& client_;
  cri::Runtime& runtime_;
  ElasticPool& pool_;
  client::Timers& timers_;
  client::EventRecorder recorder_;
  std::function<int()> port_;
  std::mutex mutex_;
  bool stopped_ = false;
  client::Timers::Id timer_ = 0;
  // Of the turn in progress; turns don't overlap.
  api::ObjectPtr node_, lease_;
  Duration reportedAt_{0};
  int failures_ = 0;
  Duration heardAt_{0};  // when a turn last succeeded
  std::vector<api::core_v1::ContainerImage> images_;
};

}  // namespace km::kubelet
