// Requests that end only when somebody ends them: at stop, the server does. Any thread.
#pragma once

#include <functional>
#include <map>
#include <mutex>

namespace km::apiserver {

class LongRunning {
 public:
  // `end` is called once, by endAll, on its thread: it must post where it has to. After endAll it is called at once. Gives the key for remove.
  uint64_t add(std::function<void()> end) {
    std::unique_lock lock(mutex_);
    uint64_t key = ++last_;
    if (!ended_) {
      ends_.emplace(key, std::move(end));
      return key;
    }
    lock.unlock();
    end();
    return key;
  }
  void remove(uint64_t key) {
    std::lock_guard lock(mutex_);
    ends_.erase(key);
  }
  void endAll() {
    std::map<uint64_t, std::function<void()>> ends;
    {
      std::lock_guard lock(mutex_);
      ended_ = true;
      ends.swap(ends_);
    }
    for (auto& [key, end] : ends) end();
  }

 private:
  std::mutex mutex_;
  bool ended_ = false;
  uint64_t last_ = 0;
  std::map<uint64_t, std::function<void()>> ends_;
};

}  // namespace km::apiserver
