#include "async/loop.h"

#include <pthread.h>
#include <signal.h>

#include <boost/asio/detail/call_stack.hpp>
#include <boost/asio/detail/thread_context.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cassert>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "async/thread_state.h"

namespace km::async {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {
thread_local Loop* currentLoop = nullptr;
thread_local PostBatch* currentBatch = nullptr;
// How many callbacks make up a turn at most, so that deferred work (flushes) is not put off for ever.
constexpr int kTurn = 64;
}  // namespace

struct Loop::Impl {
  asio::io_context io{1};
  asio::executor_work_guard<asio::io_context::executor_type> work{io.get_executor()};
  std::atomic<bool> stopped{false};
  std::thread thread;

  std::mutex mutex;
  std::vector<Task> posted;  // guarded by mutex
  std::vector<Task> running;
  std::vector<Task> deferred, deferredRunning;
  std::unordered_map<const void*, Task> tracked;
  std::shared_ptr<LoopHandle> handle;
};

ThreadState exchangeThreadState(const ThreadState& next) {
  using Calls = asio::detail::call_stack<asio::detail::thread_context, asio::detail::thread_info_base>::context;
  asio::detail::tss_ptr<Calls> calls;  // its value is one for all of this type
  ThreadState was{currentLoop, currentBatch, static_cast<Calls*>(calls)};
  currentLoop = next.loop;
  currentBatch = next.batch;
  calls = static_cast<Calls*>(next.calls);
  return was;
}

PostBatch::PostBatch() {
  if (currentBatch == nullptr) currentBatch = this;
}

PostBatch::~PostBatch() {
  if (currentBatch != this) return;
  currentBatch = nullptr;
  flush();
}

void PostBatch::flush() {
  for (auto& [loop, tasks] : kept_) {
    if (!tasks.empty()) loop->postAll(tasks);
  }
}

Loop::Loop() : impl_(std::make_unique<Impl>()) {
  // A peer that went away is an error of the write, not the end of the process.
  static const auto ignored = ::signal(SIGPIPE, SIG_IGN);
  (void)ignored;
  impl_->handle = std::make_shared<LoopHandle>(this);
}

void LoopHandle::post(Task task) {
  std::lock_guard lock(mutex_);
  if (loop_ == nullptr) return;
  // A batch does not keep what its loop may not live to see.
  if (currentBatch != nullptr) currentBatch->flush();
  std::vector<Task> one;
  one.push_back(std::move(task));
  loop_->postAll(one);
}

std::shared_ptr<LoopHandle> Loop::handle() const {
  return impl_->handle;
}

Loop::~Loop() {
  stop();
  join();
  {
    std::lock_guard lock(impl_->handle->mutex_);
    impl_->handle->loop_ = nullptr;
  }
  while (!impl_->tracked.empty()) {
    Task atEnd = std::move(impl_->tracked.begin()->second);
    impl_->tracked.erase(impl_->tracked.begin());
    atEnd();
  }
  // Tasks may hold objects that post again while they are destroyed.
  for (int i = 0; i < 16; ++i) {
    std::vector<Task> left;
    {
      std::lock_guard lock(impl_->mutex);
      left.swap(impl_->posted);
    }
    std::vector<Task> deferred;
    deferred.swap(impl_->deferred);
    if (left.empty() && deferred.empty()) break;
  }
}

void Loop::run() {
  currentLoop = this;
  asio::io_context& io = impl_->io;
  while (!impl_->stopped.load(std::memory_order_acquire)) {
    if (io.run_one() == 0) break;
    for (int i = 0; i < kTurn && !impl_->stopped.load(std::memory_order_relaxed) && io.poll_one() != 0; ++i) {
    }
    runDeferred();
  }
  runDeferred();
  currentLoop = nullptr;
}

void Loop::start(std::string_view name) {
  impl_->thread = std::thread([this, name = std::string(name.substr(0, 15))] {
    pthread_setname_np(pthread_self(), name.c_str());
    run();
  });
}

void Loop::stop() {
  impl_->stopped.store(true, std::memory_order_release);
  impl_->io.stop();
}

void Loop::join() {
  if (impl_->thread.joinable()) {
    assert(!inThread());
    impl_->thread.join();
  }
}

void Loop::post(Task task) {
  if (PostBatch* batch = currentBatch) {
    for (auto& [loop, tasks] : batch->kept_) {
      if (loop == this) {
        tasks.push_back(std::move(task));
        return;
      }
    }
    batch->kept_.emplace_back(this, std::vector<Task>()).second.push_back(std::move(task));
    return;
  }
  bool wake;
  {
    std::lock_guard lock(impl_->mutex);
    wake = impl_->posted.empty();
    impl_->posted.push_back(std::move(task));
  }
  if (wake) asio::post(impl_->io, [this] { drainPosted(); });
}

void Loop::postAll(std::vector<Task>& tasks) {
  bool wake;
  {
    std::lock_guard lock(impl_->mutex);
    wake = impl_->posted.empty();
    if (wake) {
      impl_->posted.swap(tasks);
    } else {
      impl_->posted.insert(impl_->posted.end(), std::make_move_iterator(tasks.begin()), std::make_move_iterator(tasks.end()));
    }
  }
  tasks.clear();
  if (wake) asio::post(impl_->io, [this] { drainPosted(); });
}

void Loop::dispatch(Task task) {
  if (inThread()) {
    task();
  } else {
    post(std::move(task));
  }
}

void Loop::drainPosted() {
  auto& running = impl_->running;
  {
    std::lock_guard lock(impl_->mutex);
    running.swap(impl_->posted);
  }
  for (Task& task : running) {
    if (impl_->stopped.load(std::memory_order_relaxed)) break;
    task();
    task = nullptr;
  }
  running.clear();
}

void Loop::defer(Task task) {
  impl_->deferred.push_back(std::move(task));
}

void Loop::runDeferred() {
  // A deferred task may defer again; that runs in the same turn, a few rounds deep.
  for (int round = 0; round < 4 && !impl_->deferred.empty(); ++round) {
    impl_->deferredRunning.swap(impl_->deferred);
    for (Task& task : impl_->deferredRunning) task();
    impl_->deferredRunning.clear();
  }
  if (!impl_->deferred.empty()) post([] {});  // another turn follows at once
}

void Loop::track(const void* key, Task atEnd) {
  impl_->tracked[key] = std::move(atEnd);
}

void Loop::untrack(const void* key) {
  impl_->tracked.erase(key);
}

bool Loop::inThread() const {
  return currentLoop == this;
}
Loop* Loop::current() {
  return currentLoop;
}

struct Timer::State {
  explicit State(Loop& loop) : timer(loop.impl().io) {}
  asio::steady_timer timer;
  Task task;
  uint64_t generation = 0;
  bool armed = false;
};

Timer::Timer(Loop& loop) : state_(std::make_shared<State>(loop)) {}
Timer::~Timer() {
  if (state_) cancel();
}
Timer::Timer(Timer&&) noexcept = default;
Timer& Timer::operator=(Timer&& other) noexcept {
  if (state_) cancel();
  state_ = std::move(other.state_);
  return *this;
}

void Timer::start(Duration after, Task task) {
  State& s = *state_;
  s.task = std::move(task);
  s.armed = true;
  uint64_t generation = ++s.generation;
  s.timer.expires_after(std::chrono::duration_cast<asio::steady_timer::duration>(after));
  s.timer.async_wait([state = state_, generation](const error_code&) {
    if (!state->armed || state->generation != generation) return;
    state->armed = false;
    Task run = std::move(state->task);
    state->task = nullptr;
    run();
  });
}

void Timer::cancel() {
  if (!state_->armed) return;
  state_->armed = false;
  Task dropped = std::move(state_->task);
  state_->task = nullptr;
  state_->timer.cancel();
}

bool Timer::armed() const {
  return state_->armed;
}

struct FdWatch::State {
  State(Loop& loop, int fd) : descriptor(loop.impl().io, fd) {}
  asio::posix::stream_descriptor descriptor;
  Task read, write;
  bool persistent = false;
  bool readArmed = false, writeArmed = false;
};

FdWatch::FdWatch(Loop& loop, int fd) : state_(std::make_shared<State>(loop, fd)) {}

FdWatch::~FdWatch() {
  state_->read = nullptr;
  state_->write = nullptr;
  state_->persistent = false;
  state_->descriptor.release();
}

void FdWatch::armRead(const std::shared_ptr<State>& state) {
  if (state->readArmed) return;
  state->readArmed = true;
  state->descriptor.async_wait(asio::posix::stream_descriptor::wait_read, [state](const error_code& error) {
    state->readArmed = false;
    if (error == asio::error::operation_aborted) {
      if (state->read && state->descriptor.is_open()) armRead(state);  // armed anew after a cancel
      return;
    }
    if (!state->read) return;
    if (state->persistent) {
      Task run = state->read;  // a copy: the task may cancel or destroy the watch
      run();
      if (state->persistent && state->read && state->descriptor.is_open()) armRead(state);
      return;
    }
    Task run = std::move(state->read);
    state->read = nullptr;
    run();
  });
}

void FdWatch::onReadable(Task task) {
  state_->persistent = false;
  state_->read = std::move(task);
  armRead(state_);
}

void FdWatch::whileReadable(Task task) {
  state_->persistent = true;
  state_->read = std::move(task);
  armRead(state_);
}

void FdWatch::onWritable(Task task) {
  state_->write = std::move(task);
  if (state_->writeArmed) return;
  state_->writeArmed = true;
  state_->descriptor.async_wait(asio::posix::stream_descriptor::wait_write,
                                [state = state_](const error_code& error) {
                                  state->writeArmed = false;
                                  if (!state->write) return;
                                  Task run = std::move(state->write);
                                  state->write = nullptr;
                                  run();
                                });
}

void FdWatch::cancel() {
  state_->read = nullptr;
  state_->write = nullptr;
  state_->persistent = false;
}

LoopGroup::LoopGroup(int count, std::string_view name) {
  for (int i = 0; i < count; ++i) {
    loops_.push_back(std::make_unique<Loop>());
    loops_.back()->start(std::string(name) + "-" + std::to_string(i));
  }
}

LoopGroup::~LoopGroup() {
  stop();
}

Loop& LoopGroup::next() {
  return *loops_[turn_.fetch_add(1, std::memory_order_relaxed) % loops_.size()];
}

void LoopGroup::stop() {
  for (auto& loop : loops_) loop->stop();
  for (auto& loop : loops_) loop->join();
}

struct Signals::State {
  explicit State(Loop& loop) : set(loop.impl().io) {}
  asio::signal_set set;
  std::function<void(int)> callback;
};

Signals::Signals(Loop& loop, std::vector<int> signals, std::function<void(int)> callback)
    : state_(std::make_shared<State>(loop)) {
  state_->callback = std::move(callback);
  for (int s : signals) {
    error_code ignored;
    state_->set.add(s, ignored);
  }
  arm(state_);
}

void Signals::arm(const std::shared_ptr<State>& state) {
  state->set.async_wait([state](const error_code& error, int signal) {
    if (error || !state->callback) return;
    auto call = state->callback;
    call(signal);
    arm(state);
  });
}

Signals::~Signals() {
  state_->callback = nullptr;
  error_code ignored;
  state_->set.cancel(ignored);
}

}  // namespace km::async
