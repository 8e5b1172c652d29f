// WorkQueue: keys that need work. Its promises, which controllers are built on:
//   - fair: keys come out in the order in which they were added;
//   - stingy: a key that was added several times before it came out comes out once;
//   - one worker a key: a key that is added again while it is worked on comes out again, but only after done();
//   - a shut queue still gives out what it holds, and then ends.
// addAfter() and addRateLimited() add a key later; nothing polls for it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "client/timers.h"
#include "client/worker_pool.h"

namespace km::client {

// How long a failed key waits. The longer of two: base * 2^failures of the key, up to max; and a bucket over all keys, qps a
// second with room for burst.
struct RateLimit {
  Duration base = std::chrono::milliseconds(5);
  Duration max = std::chrono::seconds(1000);
  double qps = 10;
  int burst = 100;
};

// Any thread.
class WorkQueue {
 public:
  explicit WorkQueue(std::string_view name, Timers& timers, RateLimit limit = {});
  ~WorkQueue();  // shutDown(); nobody may be in get()
  WorkQueue(const WorkQueue&) = delete;
  WorkQueue& operator=(const WorkQueue&) = delete;

  void add(std::string_view key);
  // Adds the key when the delay is over; of several waits of one key the earliest counts. Zero or less: now.
  void addAfter(std::string_view key, Duration delay);
  // Counts a failure of the key and adds it when its rate limit allows.
  void addRateLimited(std::string_view key);
  // The key did well: its failures are forgotten.
  void forget(std::string_view key);
  int failures(std::string_view key) const;

  // Waits for a key; nullopt when the queue is shut and empty. done() must follow.
  std::optional<std::string> get();
  // The same without waiting; nullopt also when there is none now.
  std::optional<std::string> tryGet();
  void done(std::string_view key);

  size_t size() const;  // keys that wait to come out, without those that are worked on or delayed
  // Ignores what is added from now on and drops what is delayed.
  void shutDown();
  // shutDown(), and waits until every key has come out and is done.
  void shutDownWithDrain();
  bool isShutDown() const;
  const std::string& name() const;

  // Called after a key became ready, on the thread that made it so; replaces blocking in get(). See QueueWorkers.
  void onReady(std::function<void()> callback);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

// Runs work(key) for each key of a queue on the pool, at most `workers` at a time; calls done(key) afterwards. An idle queue
// holds no thread. `work` itself says what follows: forget() or addRateLimited().
class QueueWorkers {
 public:
  QueueWorkers(WorkQueue& queue, WorkerPool& pool, int workers, std::function<void(const std::string& key)> work);
  ~QueueWorkers();  // stop()
  // Takes no more keys and waits for the work in progress. The queue itself is left alone.
  void stop();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

// A token bucket: qps tokens a second, at most `burst` of them kept. Not synchronized.
class TokenBucket {
 public:
  TokenBucket(double qps, int burst) : qps_(qps), burst_(burst), tokens_(burst) {}
  // Takes a token now, on credit if there is none, and returns how long its owner must wait.
  Duration reserve(Duration now);
  // Takes a token if there is one.
  bool tryTake(Duration now);

 private:
  void refill(Duration now);
  double qps_;
  double burst_;
  double tokens_;
  std::optional<Duration> last_;
};

}  // namespace km::client
