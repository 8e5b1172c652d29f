#include "base/scope.h"

#include <pthread.h>

#include "base/log.h"

namespace km {

Gate::~Gate() {
  std::lock_guard lock(mutex_);
  KM_CHECK(inside_ == 0);
}

bool Gate::enter() {
  std::lock_guard lock(mutex_);
  if (closed_) return false;
  inside_++;
  return true;
}

void Gate::leave() {
  // Notified under the lock: whoever waits in close() may destroy this gate as soon as the lock is free.
  std::lock_guard lock(mutex_);
  KM_CHECK(inside_ > 0);
  if (--inside_ == 0 && closed_) empty_.notify_all();
}

void Gate::close() {
  std::unique_lock lock(mutex_);
  closed_ = true;
  empty_.wait(lock, [this] { return inside_ == 0; });
}

bool Gate::isClosed() const {
  std::lock_guard lock(mutex_);
  return closed_;
}

uint64_t Gate::inside() const {
  std::lock_guard lock(mutex_);
  return inside_;
}

Scope::Scope(std::string_view name) : name_(name) {}

Scope::~Scope() {
  stop();
}

bool Scope::spawn(std::string_view name, std::function<void(std::stop_token)> body) {
  std::lock_guard lock(mutex_);
  // stop() asks first and takes threads_ under the lock later: a thread started here is seen there.
  if (source_.stop_requested() || !gate_.enter()) return false;
  std::string label(name.substr(0, 15));
  threads_.emplace_back([this, label = std::move(label), body = std::move(body)]() mutable {
    pthread_setname_np(pthread_self(), label.c_str());
    body(source_.get_token());
    body = nullptr;  // what it holds goes before the scope may end
    gate_.leave();
  });
  return true;
}

void Scope::requestStop() {
  source_.request_stop();
}

void Scope::stop() {
  requestStop();
  std::vector<std::thread> threads;
  {
    std::lock_guard lock(mutex_);
    threads.swap(threads_);
  }
  for (std::thread& thread : threads) {
    KM_CHECK(thread.get_id() != std::this_thread::get_id());
    thread.join();
  }
  gate_.close();  // holds, and the threads that another caller of stop() is joining
}

bool Scope::sleepFor(Duration delay) {
  std::unique_lock lock(mutex_);
  return !wake_.wait_for(lock, source_.get_token(), delay, [this] { return source_.stop_requested(); });
}

}  // namespace km
