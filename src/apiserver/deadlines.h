// Deadlines: tells clients of requests that are not answered in time (upstream's WithRequestDeadline and timeout filter).
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <set>
#include <utility>

#include "async/loop.h"
#include "base/clock.h"

namespace km::apiserver {

struct HttpCall;

// Any thread, but for the destructor. What a late request is at goes on: nobody knows whether it can be stopped.
class Deadlines : public std::enable_shared_from_this<Deadlines> {
 public:
  explicit Deadlines(async::Loop& loop) : loop_(loop) {}
  // Before the loop ends; nothing is called afterwards.
  void stop();
  // If `call` is not gone by then, its client is told 504. `call` must be owned by a shared_ptr.
  void add(HttpCall& call, Duration at);
  void remove(HttpCall& call, Duration at);
  // Until there are none, or for so long. Not on the loop.
  void awaitNone(Duration most);

 private:
  void arm(Duration at);  // with the lock held
  void fire();

  async::Loop& loop_;
  std::mutex mutex_;
  std::condition_variable none_;
  std::set<std::pair<Duration, HttpCall*>> calls_;
  Duration armed_ = Duration::max();  // when the timer will look
  bool stopped_ = false;
  std::unique_ptr<async::Timer> timer_;  // of the loop
};

}  // namespace km::apiserver
