#include "client/timers.h"

#include <pthread.h>

#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>
#include <unordered_map>

namespace km::client {

struct Timers::Core {
  Clock* clock = nullptr;
  bool threaded = false;
  std::mutex mutex;
  std::condition_variable wake;
  std::condition_variable idle;
  std::map<std::pair<Duration, Id>, std::function<void()>> heap;
  std::unordered_map<Id, Duration> deadlines;
  Id next = 1;
  std::thread thread;
  std::thread::id runner;  // who runs a callback now
  bool stopped = false;

  // Runs the first timer if it is due. With the lock held, which is let go meanwhile.
  bool runFirst(std::unique_lock<std::mutex>& lock) {
    auto first = heap.begin();
    if (first == heap.end() || first->first.first > clock->monotonic()) return false;
    auto callback = std::move(first->second);
    deadlines.erase(first->first.second);
    heap.erase(first);
    runner = std::this_thread::get_id();
    lock.unlock();
    callback();
    callback = nullptr;
    lock.lock();
    runner = {};
    idle.notify_all();
    return true;
  }

  void run() {
    pthread_setname_np(pthread_self(), "timers");
    std::unique_lock lock(mutex);
    while (!stopped) {
      if (runFirst(lock)) continue;
      if (heap.empty()) {
        wake.wait(lock);
      } else {
        wake.wait_for(lock, heap.begin()->first.first - clock->monotonic());
      }
    }
  }
};

Timers::Timers() : core_(std::make_shared<Core>()) {
  core_->clock = &Clock::system();
  core_->threaded = true;
}

Timers::Timers(Clock& clock) : core_(std::make_shared<Core>()) { core_->clock = &clock; }

Timers::~Timers() { stop(); }

Clock& Timers::clock() const { return *core_->clock; }

Timers::Id Timers::after(Duration delay, std::function<void()> callback) {
  Core& c = *core_;
  std::lock_guard lock(c.mutex);
  if (c.stopped) return 0;
  Id id = c.next++;
  Duration deadline = c.clock->monotonic() + std::max(delay, Duration(0));
  bool first = c.heap.empty() || deadline < c.heap.begin()->first.first;
  c.heap.emplace(std::pair(deadline, id), std::move(callback));
  c.deadlines.emplace(id, deadline);
  if (c.threaded && !c.thread.joinable()) {
    c.thread = std::thread([core = core_.get()] { core->run(); });
  } else if (first) {
    c.wake.notify_one();
  }
  return id;
}

bool Timers::cancel(Id id) {
  std::function<void()> dropped;
  std::lock_guard lock(core_->mutex);
  auto it = core_->deadlines.find(id);
  if (it == core_->deadlines.end()) return false;
  auto entry = core_->heap.find({it->second, id});
  dropped = std::move(entry->second);
  core_->heap.erase(entry);
  core_->deadlines.erase(it);
  return true;
}

void Timers::runDue() {
  std::unique_lock lock(core_->mutex);
  while (!core_->stopped && core_->runFirst(lock)) {
  }
}

void Timers::stop() {
  std::map<std::pair<Duration, Id>, std::function<void()>> dropped;
  std::thread thread;
  std::unique_lock lock(core_->mutex);
  core_->stopped = true;
  dropped.swap(core_->heap);
  core_->deadlines.clear();
  core_->wake.notify_all();
  bool own = core_->runner == std::this_thread::get_id();
  if (!own) core_->idle.wait(lock, [&] { return core_->runner == std::thread::id(); });
  if (!own) thread.swap(core_->thread);
  lock.unlock();
  if (thread.joinable()) thread.join();
}

}  // namespace km::client
