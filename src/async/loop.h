// Event loops. A Loop runs callbacks one after another on one thread; everything that belongs to a loop
// (timers, watches, connections) is made, used and destroyed on its thread.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"

namespace km::async {

using Task = std::function<void()>;

class Loop;

// A way to a loop that may be gone meanwhile. From any thread.
class LoopHandle {
 public:
  explicit LoopHandle(Loop* loop) : loop_(loop) {}
  // The task is destroyed unrun if the loop is gone.
  void post(Task task);

 private:
  friend class Loop;
  std::mutex mutex_;
  Loop* loop_;  // guarded by mutex_
};

class Loop {
 public:
  Loop();
  // The loop must have been stopped; tasks that did not run are destroyed here.
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Runs on the calling thread until stop().
  void run();
  // Runs on a thread of its own, named for the debugger. join() waits for its end.
  void start(std::string_view name);
  // From any thread. The turn in progress ends; tasks posted earlier and not yet begun may be dropped.
  void stop();
  void join();

  // From any thread: runs the task on the loop, in the order of the posts of one thread.
  void post(Task task);
  std::shared_ptr<LoopHandle> handle() const;
  // Runs the task now if called on the loop's thread, else posts it.
  void dispatch(Task task);
  // On the loop's thread: runs the task at the end of this turn, after the callbacks that are ready now.
  void defer(Task task);

  // On the loop's thread: runs the task when the loop is destroyed, unless untracked before. For objects that
  // keep themselves alive until something happens on the loop, and would leak when it never does.
  void track(const void* key, Task atEnd);
  void untrack(const void* key);

  bool inThread() const;
  static Loop* current();  // the loop of this thread, or null

  struct Impl;
  Impl& impl() { return *impl_; }

 private:
  friend class LoopHandle;
  friend class PostBatch;
  void postAll(std::vector<Task>& tasks);
  void drainPosted();
  void runDeferred();
  std::unique_ptr<Impl> impl_;
};

// While one lives, what its thread posts to loops is kept, and is handed over to each loop at once, in order, when it ends: for a thread
// that wakes many at a time. Such a thread waits for nobody meanwhile. Inside another one it does nothing.
class PostBatch {
 public:
  PostBatch();
  ~PostBatch();
  PostBatch(const PostBatch&) = delete;
  PostBatch& operator=(const PostBatch&) = delete;

 private:
  friend class Loop;
  friend class LoopHandle;
  void flush();
  std::vector<std::pair<Loop*, std::vector<Task>>> kept_;
};

// A timer on the steady clock, on its loop's thread only. Destroying it cancels it. After cancel() or a new
// start() the earlier callback will not run. The callback may destroy the timer.
class Timer {
 public:
  explicit Timer(Loop& loop);
  ~Timer();
  Timer(Timer&&) noexcept;
  Timer& operator=(Timer&&) noexcept;
  void start(Duration after, Task task);
  void cancel();
  bool armed() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

// Readiness of a descriptor, on its loop's thread only. The descriptor stays the caller's and must outlive
// the watch. One-shot: each call arms the callback once. Destroying the watch drops the callbacks.
class FdWatch {
 public:
  FdWatch(Loop& loop, int fd);
  ~FdWatch();
  FdWatch(const FdWatch&) = delete;
  FdWatch& operator=(const FdWatch&) = delete;
  void onReadable(Task task);
  void onWritable(Task task);
  // Calls the task whenever the descriptor is readable (level triggered), until cancel().
  void whileReadable(Task task);
  void cancel();

 private:
  struct State;
  static void armRead(const std::shared_ptr<State>& state);
  std::shared_ptr<State> state_;
};

// N loops, each on its thread. Destruction stops and joins them.
class LoopGroup {
 public:
  LoopGroup(int count, std::string_view name);
  ~LoopGroup();
  int size() const { return static_cast<int>(loops_.size()); }
  Loop& at(int i) { return *loops_[i]; }
  Loop& next();  // from any thread, in turn
  void stop();   // stops and joins; afterwards nothing runs any more

 private:
  std::vector<std::unique_ptr<Loop>> loops_;
  std::atomic<unsigned> turn_{0};
};

// Calls back on the loop when one of the signals arrives. The usual action of the signal is off meanwhile.
class Signals {
 public:
  Signals(Loop& loop, std::vector<int> signals, std::function<void(int)> callback);
  ~Signals();

 private:
  struct State;
  static void arm(const std::shared_ptr<State>& state);
  std::shared_ptr<State> state_;
};

}  // namespace km::async
