#include "kubelet/elastic_pool.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

namespace km::kubelet {
namespace {
constexpr auto kIdle = std::chrono::seconds(30);
}

struct ElasticPool::State {
  std::mutex mutex;
  std::condition_variable work, ended, sleepers;
  std::deque<std::function<void()>> queue;
  int threads = 0, idle = 0, max = 0;
  bool stopping = false;

  void run() {
    std::unique_lock lock(mutex);
    while (true) {
      if (!stopping && queue.empty()) {
        idle++;
        work.wait_for(lock, kIdle, [&] { return stopping || !queue.empty(); });
        idle--;
      }
      if (queue.empty() || stopping) break;
      auto task = std::move(queue.front());
      queue.pop_front();
      lock.unlock();
      task();
      task = nullptr;
      lock.lock();
    }
    threads--;
    ended.notify_all();
  }
};

ElasticPool::ElasticPool(int maxThreads) : state_(std::make_shared<State>()) { state_->max = maxThreads; }
ElasticPool::~ElasticPool() { stop(); }

bool ElasticPool::post(std::function<void()> task) {
  std::lock_guard lock(state_->mutex);
  if (state_->stopping) return false;
  state_->queue.push_back(std::move(task));
  if (static_cast<int>(state_->queue.size()) > state_->idle && state_->threads < state_->max) {
    state_->threads++;
    std::thread([s = state_] { s->run(); }).detach();
  } else {
    state_->work.notify_one();
  }
  return true;
}

bool ElasticPool::sleep(Duration duration) {
  std::unique_lock lock(state_->mutex);
  return !state_->sleepers.wait_for(lock, duration, [&] { return state_->stopping; });
}

void ElasticPool::stop() {
  std::deque<std::function<void()>> dropped;
  std::unique_lock lock(state_->mutex);
  state_->stopping = true;
  dropped.swap(state_->queue);
  state_->work.notify_all();
  state_->sleepers.notify_all();
  state_->ended.wait(lock, [&] { return state_->threads == 0; });
}

}  // namespace km::kubelet
