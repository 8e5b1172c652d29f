// workqueue_* of each named queue, as upstream's client-go tells them. Only for workqueue.cc.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/metrics.h"

namespace km::client {

// Of one queue. Counting is as safe as the queue's own lock.
class QueueMetrics {
 public:
  // How long each key that is worked on has been so; asked at a scrape, on its thread.
  using Running = std::function<std::vector<Duration>()>;
  QueueMetrics(const std::string& name, Running running);
  ~QueueMetrics();

  void added(size_t depth);
  void taken(size_t depth, Duration waited);
  void done(Duration worked) { work_.observe(seconds(worked)); }
  void retried() { retries_.inc(); }

 private:
  friend struct AllQueues;
  static double seconds(Duration d) { return std::chrono::duration<double>(d).count(); }
  const std::string name_;
  const Running running_;
  Counter &adds_, &retries_;
  Gauge& depth_;
  Histogram &queue_, &work_;
};

}  // namespace km::client
