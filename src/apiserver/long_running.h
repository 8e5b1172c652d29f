// Requests that end only when somebody ends them: at stop, the server does, at once or a few at a time. Any thread.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <vector>

namespace km::apiserver {

class LongRunning {
 public:
  // `end` is called once, by endSome, on its thread: it must post where it has to. After refuse() it is called at once.
  // Gives the key for remove.
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
  // No more begin.
  void refuse() {
    std::lock_guard lock(mutex_);
    ended_ = true;
  }
  // The oldest first. How many are left.
  size_t endSome(size_t count) {
    std::vector<std::function<void()>> ends;
    size_t left = 0;
    {
      std::lock_guard lock(mutex_);
      while (!ends_.empty() && ends.size() < count) {
        ends.push_back(std::move(ends_.begin()->second));
        ends_.erase(ends_.begin());
      }
      left = ends_.size();
    }
    for (auto& end : ends) end();
    return left;
  }
  size_t size() {
    std::lock_guard lock(mutex_);
    return ends_.size();
  }

 private:
  std::mutex mutex_;
  bool ended_ = false;
  uint64_t last_ = 0;
  std::map<uint64_t, std::function<void()>> ends_;
};

}  // namespace km::apiserver
