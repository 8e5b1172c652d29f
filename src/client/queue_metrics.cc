#include "client/queue_metrics.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <set>

namespace km::client {

// The queues that live, for what is asked of them at a scrape. Never destroyed.
struct AllQueues {
  std::mutex mutex;
  std::set<QueueMetrics*> queues;
  std::unique_ptr<MetricRegistry::Registration> unfinished, longest;

  static AllQueues& one() {
    static AllQueues* all = new AllQueues;
    return *all;
  }
  AllQueues() {
    MetricRegistry& r = MetricRegistry::process();
    unfinished = r.callback("workqueue_unfinished_work_seconds", "[BETA] Seconds of work that is in progress and has not been observed by work_duration.", MetricType::kGauge,
                            {"name"}, [this](MetricEmitter& e) { collect(e, false); });
    longest = r.callback("workqueue_longest_running_processor_seconds", "[BETA] Seconds that the longest running key of the queue is worked on.", MetricType::kGauge, {"name"},
                         [this](MetricEmitter& e) { collect(e, true); });
  }
  void collect(MetricEmitter& e, bool longestOnly) {
    std::lock_guard lock(mutex);
    std::map<std::string, double> byName;  // of two queues with one name the sum, or the longest
    for (QueueMetrics* q : queues) {
      double& v = byName[q->name_];
      for (Duration d : q->running_()) v = longestOnly ? std::max(v, QueueMetrics::seconds(d)) : v + QueueMetrics::seconds(d);
    }
    for (const auto& [name, v] : byName) e.emit({name}, v);
  }
};

namespace {
const std::vector<double>& bounds() {
  static const std::vector<double> all = exponentialBuckets(1e-8, 10, 10);
  return all;
}
MetricRegistry& registry() { return MetricRegistry::process(); }
}  // namespace

QueueMetrics::QueueMetrics(const std::string& name, Running running)
    : name_(name),
      running_(std::move(running)),
      adds_(registry().counter("workqueue_adds_total", "[BETA] Total number of adds handled by workqueue", {"name"}).with({name})),
      retries_(registry().counter("workqueue_retries_total", "[BETA] Total number of retries handled by workqueue", {"name"}).with({name})),
      depth_(registry().gauge("workqueue_depth", "[BETA] Current depth of workqueue", {"name"}).with({name})),
      queue_(registry().histogram("workqueue_queue_duration_seconds", "[BETA] How long in seconds an item stays in workqueue before being requested.", {"name"}, bounds()).with({name})),
      work_(registry().histogram("workqueue_work_duration_seconds", "[BETA] How long in seconds processing an item from workqueue takes.", {"name"}, bounds()).with({name})) {
  AllQueues& all = AllQueues::one();
  std::lock_guard lock(all.mutex);
  all.queues.insert(this);
}

QueueMetrics::~QueueMetrics() {
  AllQueues& all = AllQueues::one();
  std::lock_guard lock(all.mutex);
  all.queues.erase(this);
}

void QueueMetrics::added(size_t depth) {
  adds_.inc();
  depth_.set(static_cast<double>(depth));
}

void QueueMetrics::taken(size_t depth, Duration waited) {
  depth_.set(static_cast<double>(depth));
  queue_.observe(seconds(waited));
}

}  // namespace km::client
