#include "client/worker_pool.h"

#include <pthread.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace km::client {

struct WorkerPool::Core {
  std::mutex mutex;
  std::condition_variable wake;
  std::deque<Task> tasks;
  std::vector<std::thread> threads;
  bool stopping = false;

  bool post(Task task) {
    {
      std::lock_guard lock(mutex);
      if (stopping) return false;
      tasks.push_back(std::move(task));
    }
    wake.notify_one();
    return true;
  }

  void run() {
    std::unique_lock lock(mutex);
    while (true) {
      wake.wait(lock, [&] { return stopping || !tasks.empty(); });
      if (stopping) return;
      Task task = std::move(tasks.front());
      tasks.pop_front();
      lock.unlock();
      task();
      task = nullptr;  // what it holds ends outside the lock
      lock.lock();
    }
  }
};

WorkerPool::WorkerPool(int threads, std::string_view name) : core_(std::make_shared<Core>()) {
  for (int i = 0; i < threads; i++) {
    core_->threads.emplace_back([core = core_.get(), title = std::string(name).substr(0, 15)] {
      pthread_setname_np(pthread_self(), title.c_str());
      core->run();
    });
  }
}

WorkerPool::~WorkerPool() { stop(); }

bool WorkerPool::post(Task task) { return core_->post(std::move(task)); }

void WorkerPool::stop() {
  std::deque<Task> dropped;
  std::vector<std::thread> threads;
  {
    std::lock_guard lock(core_->mutex);
    core_->stopping = true;
    dropped.swap(core_->tasks);
    threads.swap(core_->threads);
  }
  core_->wake.notify_all();
  for (std::thread& t : threads) t.join();
}

// How many tasks a lane runs before it lets others of the pool have the thread.
constexpr int kLaneBatch = 32;

struct Lane::State : std::enable_shared_from_this<Lane::State> {
  std::shared_ptr<WorkerPool::Core> pool;
  int limit = 1;
  std::mutex mutex;
  std::condition_variable idle;
  std::deque<Task> tasks;
  int turns = 0;  // posted to the pool or running
  std::vector<std::thread::id> runners;  // threads of the turns that run
  bool closed = false;

  // A place among the `limit`: given back at the end of the turn, or when the pool drops it.
  struct Turn {
    std::shared_ptr<State> state;
    bool ended = false;
    explicit Turn(std::shared_ptr<State> s) : state(std::move(s)) {}
    Turn(const Turn&) = delete;
    ~Turn() {
      if (ended) return;
      std::lock_guard lock(state->mutex);
      state->turns--;
      state->idle.notify_all();
    }
  };

  // With a turn counted in already.
  void beginTurn() {
    auto turn = std::make_shared<Turn>(shared_from_this());
    pool->post([turn] { turn->state->runTurn(*turn); });
  }

  void runTurn(Turn& turn) {
    std::unique_lock lock(mutex);
    auto self = std::this_thread::get_id();
    runners.push_back(self);
    for (int i = 0; i < kLaneBatch && !tasks.empty() && !closed; i++) {
      Task task = std::move(tasks.front());
      tasks.pop_front();
      lock.unlock();
      task();
      task = nullptr;
      lock.lock();
    }
    std::erase(runners, self);
    // In one step with the look at the queue: a task that is posted afterwards begins a turn of its own.
    bool more = !tasks.empty() && !closed;
    if (!more) turns--;
    turn.ended = true;
    idle.notify_all();
    lock.unlock();
    if (more) beginTurn();
  }

  bool inside() const {
    for (auto id : runners) {
      if (id == std::this_thread::get_id()) return true;
    }
    return false;
  }
};

Lane::Lane(WorkerPool& pool, int limit) : state_(std::make_shared<State>()) {
  state_->pool = pool.core();
  state_->limit = limit;
}

Lane::~Lane() { close(); }

bool Lane::post(Task task) {
  {
    std::lock_guard lock(state_->mutex);
    if (state_->closed) return false;
    state_->tasks.push_back(std::move(task));
    if (state_->turns >= state_->limit) return true;
    state_->turns++;
  }
  state_->beginTurn();
  return true;
}

void Lane::close() {
  std::deque<Task> dropped;
  std::unique_lock lock(state_->mutex);
  state_->closed = true;
  dropped.swap(state_->tasks);
  // A turn that did not begin yet will find the lane closed.
  size_t own = state_->inside() ? 1 : 0;
  state_->idle.wait(lock, [&] { return state_->runners.size() <= own; });
  lock.unlock();
}

void Lane::drain() {
  std::unique_lock lock(state_->mutex);
  state_->idle.wait(lock, [&] { return state_->turns == 0; });
}

}  // namespace km::client
