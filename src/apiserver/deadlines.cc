#include "apiserver/deadlines.h"

#include <vector>

#include "apiserver/exchange_context.h"

namespace km::apiserver {

void Deadlines::add(HttpCall& call, Duration at) {
  std::lock_guard lock(mutex_);
  calls_.emplace(at, &call);
  if (at < armed_ && !stopped_) arm(at);
}

void Deadlines::remove(HttpCall& call, Duration at) {
  std::lock_guard lock(mutex_);
  calls_.erase({at, &call});
  if (calls_.empty()) none_.notify_all();
}

void Deadlines::awaitNone(Duration most) {
  std::unique_lock lock(mutex_);
  none_.wait_for(lock, most, [this] { return calls_.empty(); });
}

// A timer that is armed stays so when its request ends: mostly the next one needs it.
void Deadlines::arm(Duration at) {
  armed_ = at;
  loop_.post([weak = weak_from_this(), at] {
    auto self = weak.lock();
    if (!self) return;
    {
      std::lock_guard lock(self->mutex_);
      if (self->stopped_ || self->armed_ != at) return;
    }
    if (!self->timer_) self->timer_ = std::make_unique<async::Timer>(self->loop_);
    self->timer_->start(std::max(at - Clock::system().monotonic(), Duration(0)), [weak] {
      if (auto s = weak.lock()) s->fire();
    });
  });
}

void Deadlines::fire() {
  std::vector<HttpCallPtr> late;
  {
    std::lock_guard lock(mutex_);
    Duration now = Clock::system().monotonic();
    while (!calls_.empty() && calls_.begin()->first <= now) {
      // One that is being destroyed at this moment is not to be had any more.
      if (HttpCallPtr call = calls_.begin()->second->weak_from_this().lock()) late.push_back(std::move(call));
      calls_.erase(calls_.begin());
    }
    armed_ = Duration::max();
    if (!calls_.empty() && !stopped_) arm(calls_.begin()->first);
  }
  for (const HttpCallPtr& call : late) call->tellLate();
}

void Deadlines::stop() {
  std::lock_guard lock(mutex_);
  stopped_ = true;
  loop_.post([self = shared_from_this()] { self->timer_.reset(); });
}

}  // namespace km::apiserver
