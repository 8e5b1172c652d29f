// WorkerPool: the threads that a process's parts share. Informer handlers, reconcile loops and event writers run here; a
// task may block on a Client's waiting calls, since no transport depends on the pool.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

namespace km::client {

using Task = std::function<void()>;

// N threads over one queue, first in, first out. All calls from any thread.
class WorkerPool {
 public:
  explicit WorkerPool(int threads, std::string_view name = "worker");
  ~WorkerPool();  // stop()
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // Runs the task on a thread of the pool. False, and the task is destroyed, once the pool is stopping.
  bool post(Task task);
  // Refuses new tasks, destroys those not begun, waits for those that run. Not from a task.
  void stop();

  struct Core;
  const std::shared_ptr<Core>& core() const { return core_; }

 private:
  std::shared_ptr<Core> core_;
};

// A share of the pool: its tasks begin in the order of the posts, at most `limit` of them at a time. With the limit 1 it is a
// serial executor without a thread of its own.
class Lane {
 public:
  explicit Lane(WorkerPool& pool, int limit = 1);
  ~Lane();  // close()
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  bool post(Task task);  // false once closed
  // Refuses new tasks, destroys those not begun and waits for those that run, save the one it is called from.
  void close();
  // Waits until nothing is queued or running. For tests and orderly ends; not from a task of the lane.
  void drain();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace km::client
