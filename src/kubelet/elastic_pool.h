// ElasticPool: threads for calls that block long (a stop with its grace period, a pull, a hook). Threads come with the work
// and leave when idle for a while, so that many waits never hold up the rest.
#pragma once

#include <functional>
#include <memory>

#include "base/clock.h"

namespace km::kubelet {

class ElasticPool {
 public:
  explicit ElasticPool(int maxThreads = 256);
  ~ElasticPool();  // stop()
  ElasticPool(const ElasticPool&) = delete;
  ElasticPool& operator=(const ElasticPool&) = delete;

  // From any thread. False, and the task is destroyed, once stopping.
  bool post(std::function<void()> task);
  // For tasks: sleeps so long, or until the pool stops. False if it does.
  bool sleep(Duration duration);
  // Refuses new tasks, destroys those not begun, waits for those that run. Not from a task.
  void stop();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace km::kubelet
