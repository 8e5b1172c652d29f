// Mailbox: work that is due at moments to come, done by threads of whoever owns it.
#pragma once

#include <functional>
#include <map>
#include <memory>

#include "testing/threads.h"

namespace km::testing {

class Mailbox {
 public:
  using Task = std::function<void()>;

  // From any thread. Dropped once closed.
  void post(Duration delay, Task task) { postAt(playedTime() + delay, std::move(task)); }
  void postAt(Duration moment, Task task) {
    if (closed_) return;
    tasks_.emplace(std::pair(moment, next_++), std::move(task));
    wakeUp(this);
  }
  // Does the work until close(). Several threads may.
  void run() {
    runners_++;
    while (!closed_) {
      if (tasks_.empty()) {
        await(this);
        continue;
      }
      auto first = tasks_.begin();
      if (Duration now = playedTime(); first->first.first > now) {
        await(this, first->first.first - now);
        continue;
      }
      Task task = std::move(first->second);
      tasks_.erase(first);
      task();
    }
    runners_--;
    wakeUp(this);
  }
  // Drops what is not begun and waits for what is. Not from a task.
  void close() {
    closed_ = true;
    std::map<std::pair<Duration, uint64_t>, Task> dropped;
    dropped.swap(tasks_);
    wakeUp(this);
    awaitThat(this, [this] { return runners_ == 0; });
  }
  bool closed() const { return closed_; }

 private:
  std::map<std::pair<Duration, uint64_t>, Task> tasks_;
  uint64_t next_ = 0;
  int runners_ = 0;
  bool closed_ = false;
};

}  // namespace km::testing
