// The one thread that may block in the system's name resolution.
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace km::async {

namespace {

class Resolver {
 public:
  Resolver() : thread_([this] { run(); }) {}
  ~Resolver() {
    {
      std::lock_guard lock(mutex_);
      stopped_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }
  void add(std::function<void()> work) {
    {
      std::lock_guard lock(mutex_);
      queue_.push_back(std::move(work));
    }
    wake_.notify_one();
  }

 private:
  void run() {
    std::unique_lock lock(mutex_);
    while (true) {
      wake_.wait(lock, [this] { return stopped_ || !queue_.empty(); });
      if (stopped_) return;
      auto work = std::move(queue_.front());
      queue_.pop_front();
      lock.unlock();
      work();
      work = nullptr;
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> queue_;
  bool stopped_ = false;
  std::thread thread_;
};

}  // namespace

void resolveInBackground(std::function<void()> work) {
  static Resolver resolver;
  resolver.add(std::move(work));
}

}  // namespace km::async
