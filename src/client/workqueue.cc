#include "client/workqueue.h"

#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <unordered_map>

#include "client/queue_metrics.h"

namespace km::client {

void TokenBucket::refill(Duration now) {
  if (last_ && now > *last_) {
    tokens_ = std::min(burst_, tokens_ + qps_ * std::chrono::duration<double>(now - *last_).count());
  }
  if (!last_ || now > *last_) last_ = now;
}

Duration TokenBucket::reserve(Duration now) {
  refill(now);
  tokens_ -= 1;
  if (tokens_ >= 0) return Duration(0);
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(-tokens_ / qps_));
}

bool TokenBucket::tryTake(Duration now) {
  refill(now);
  if (tokens_ < 1) return false;
  tokens_ -= 1;
  return true;
}

struct WorkQueue::State : std::enable_shared_from_this<WorkQueue::State> {
  State(std::string_view n, Timers& t, RateLimit l) : name(n), timers(t), limit(l), bucket(l.qps, l.burst) {
    if (!name.empty()) metrics = std::make_unique<QueueMetrics>(name, [this] { return running(); });
  }
  // How long each key has been worked on.
  std::vector<Duration> running() const {
    std::vector<Duration> out;
    Duration now = timers.clock().monotonic();
    std::lock_guard lock(mutex);
    for (const auto& [key, since] : processing) out.push_back(now - since);
    return out;
  }

  const std::string name;
  Timers& timers;
  const RateLimit limit;
  mutable std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::string> queue;               // keys to come out, each also in `dirty`
  std::unordered_map<std::string, Duration> dirty;       // keys that need work, since when
  std::unordered_map<std::string, Duration> processing;  // keys that are worked on, since when
  struct Wait {
    Duration deadline;
    Timers::Id timer;
  };
  std::unordered_map<std::string, Wait> waiting;
  std::unordered_map<std::string, int> failures;
  TokenBucket bucket;
  bool shut = false;
  std::shared_ptr<std::function<void()>> ready;
  std::unique_ptr<QueueMetrics> metrics;  // of a queue with a name

  void add(const std::string& key) {
    std::shared_ptr<std::function<void()>> tell;
    {
      std::lock_guard lock(mutex);
      if (shut || !dirty.emplace(key, timers.clock().monotonic()).second) return;
      bool waits = processing.contains(key);  // done() queues it
      if (metrics) metrics->added(queue.size() + (waits ? 0 : 1));
      if (waits) return;
      queue.push_back(key);
      tell = ready;
    }
    changed.notify_one();
    if (tell) (*tell)();
  }

  std::optional<std::string> takeFirst() {
    if (queue.empty()) return std::nullopt;
    std::string key = std::move(queue.front());
    queue.pop_front();
    Duration now = timers.clock().monotonic();
    auto since = dirty.find(key);
    if (metrics) metrics->taken(queue.size(), now - since->second);
    dirty.erase(since);
    processing[key] = now;
    return key;
  }

  // The delay is over, unless an earlier wait of the key took this one's place.
  void waited(const std::string& key, Duration deadline) {
    {
      std::lock_guard lock(mutex);
      auto it = waiting.find(key);
      if (it == waiting.end() || it->second.deadline != deadline) return;
      waiting.erase(it);
    }
    add(key);
  }
};

WorkQueue::WorkQueue(std::string_view name, Timers& timers, RateLimit limit)
    : state_(std::make_shared<State>(name, timers, limit)) {}

WorkQueue::~WorkQueue() {
  shutDown();
  onReady(nullptr);
}

void WorkQueue::add(std::string_view key) { state_->add(std::string(key)); }

void WorkQueue::addAfter(std::string_view k, Duration delay) {
  std::string key(k);
  if (delay <= Duration(0)) return state_->add(key);
  State& s = *state_;
  std::lock_guard lock(s.mutex);
  if (s.shut) return;
  Duration deadline = s.timers.clock().monotonic() + delay;
  auto it = s.waiting.find(key);
  if (it != s.waiting.end()) {
    if (it->second.deadline <= deadline) return;
    s.timers.cancel(it->second.timer);
  }
  auto id = s.timers.after(delay, [weak = s.weak_from_this(), key, deadline] {
    if (auto state = weak.lock()) state->waited(key, deadline);
  });
  s.waiting[key] = {deadline, id};
}

void WorkQueue::addRateLimited(std::string_view k) {
  std::string key(k);
  Duration delay;
  {
    State& s = *state_;
    std::lock_guard lock(s.mutex);
    int n = s.failures[key]++;
    if (s.metrics) s.metrics->retried();
    double wanted = static_cast<double>(s.limit.base.count()) * std::pow(2.0, n);
    delay = wanted < static_cast<double>(s.limit.max.count()) ? Duration(static_cast<int64_t>(wanted)) : s.limit.max;
    delay = std::max(delay, s.bucket.reserve(s.timers.clock().monotonic()));
  }
  addAfter(key, delay);
}

void WorkQueue::forget(std::string_view key) {
  std::lock_guard lock(state_->mutex);
  state_->failures.erase(std::string(key));
}

int WorkQueue::failures(std::string_view key) const {
  std::lock_guard lock(state_->mutex);
  auto it = state_->failures.find(std::string(key));
  return it == state_->failures.end() ? 0 : it->second;
}

std::optional<std::string> WorkQueue::get() {
  std::unique_lock lock(state_->mutex);
  state_->changed.wait(lock, [&] { return state_->shut || !state_->queue.empty(); });
  return state_->takeFirst();
}

std::optional<std::string> WorkQueue::tryGet() {
  std::lock_guard lock(state_->mutex);
  return state_->takeFirst();
}

void WorkQueue::done(std::string_view k) {
  std::string key(k);
  std::shared_ptr<std::function<void()>> tell;
  {
    std::lock_guard lock(state_->mutex);
    auto begun = state_->processing.find(key);
    if (begun != state_->processing.end()) {
      if (state_->metrics) state_->metrics->done(state_->timers.clock().monotonic() - begun->second);
      state_->processing.erase(begun);
    }
    if (state_->dirty.contains(key)) {
      state_->queue.push_back(key);
      tell = state_->ready;
    }
  }
  state_->changed.notify_all();
  if (tell) (*tell)();
}

size_t WorkQueue::size() const {
  std::lock_guard lock(state_->mutex);
  return state_->queue.size();
}

void WorkQueue::shutDown() {
  std::lock_guard lock(state_->mutex);
  state_->shut = true;
  for (auto& [key, wait] : state_->waiting) state_->timers.cancel(wait.timer);
  state_->waiting.clear();
  state_->changed.notify_all();
}

void WorkQueue::shutDownWithDrain() {
  shutDown();
  std::unique_lock lock(state_->mutex);
  state_->changed.wait(lock, [&] { return state_->queue.empty() && state_->processing.empty(); });
}

bool WorkQueue::isShutDown() const {
  std::lock_guard lock(state_->mutex);
  return state_->shut;
}

const std::string& WorkQueue::name() const { return state_->name; }

void WorkQueue::onReady(std::function<void()> callback) {
  std::lock_guard lock(state_->mutex);
  state_->ready = callback ? std::make_shared<std::function<void()>>(std::move(callback)) : nullptr;
}

struct QueueWorkers::State {
  State(WorkQueue& q, WorkerPool& pool, int workers, std::function<void(const std::string&)> w)
      : queue(q), work(std::move(w)), lane(pool, workers) {}
  WorkQueue& queue;
  std::function<void(const std::string&)> work;
  Lane lane;

  void turn() {
    auto key = queue.tryGet();
    if (!key) return;
    work(*key);
    queue.done(*key);
  }
};

QueueWorkers::QueueWorkers(WorkQueue& queue, WorkerPool& pool, int workers,
                           std::function<void(const std::string& key)> work)
    : state_(std::make_shared<State>(queue, pool, workers, std::move(work))) {
  // Every key that becomes ready is one turn of the lane; a turn too many finds nothing.
  std::weak_ptr<State> weak = state_;
  queue.onReady([weak] {
    if (auto s = weak.lock()) s->lane.post([raw = s.get()] { raw->turn(); });
  });
  for (size_t n = queue.size(); n > 0; n--) state_->lane.post([raw = state_.get()] { raw->turn(); });
}

QueueWorkers::~QueueWorkers() { stop(); }

void QueueWorkers::stop() {
  state_->queue.onReady(nullptr);
  state_->lane.close();
}

}  // namespace km::client
