#include "apiserver/tidier.h"

#include <atomic>
#include <chrono>
#include <mutex>
#include <vector>

#include "async/loop.h"
#include "cache/resource_cache.h"

namespace km::apiserver {
namespace {
// Half of what events are kept; encodings go after one to two turns without use.
constexpr auto kTurn = std::chrono::seconds(40);
}  // namespace

struct Tidier::State : std::enable_shared_from_this<State> {
  State(async::Loop& l, std::function<void(std::function<void()>)> o) : loop(l), offload(std::move(o)) {}

  void arm() {
    if (closed || armed.exchange(true)) return;
    loop.post([self = shared_from_this()] {
      if (!self->timer) self->timer = std::make_unique<async::Timer>(self->loop);
      self->timer->start(kTurn, [weak = std::weak_ptr<State>(self)] {
        auto state = weak.lock();
        if (state) state->offload([state] { state->turn(); });
      });
    });
  }

  void turn() {
    bool more = false;
    {
      std::lock_guard lock(mutex);
      armed = false;
      for (cache::ResourceCache* c : caches) more = c->tidy() || more;
    }
    if (more) arm();
  }

  async::Loop& loop;
  const std::function<void(std::function<void()>)> offload;
  std::unique_ptr<async::Timer> timer;  // on the loop
  std::mutex mutex;                     // held during a turn
  std::vector<cache::ResourceCache*> caches;
  std::atomic<bool> armed{false}, closed{false};
};

Tidier::Tidier(async::Loop& loop, std::function<void(std::function<void()>)> offload)
    : state_(std::make_shared<State>(loop, std::move(offload))) {}

Tidier::~Tidier() {
  state_->closed = true;
  {
    std::lock_guard lock(state_->mutex);
    state_->caches.clear();
  }
  state_->loop.post([state = state_] { state->timer.reset(); });
}

void Tidier::add(cache::ResourceCache& cache) {
  std::lock_guard lock(state_->mutex);
  state_->caches.push_back(&cache);
  cache.whenUntidy([weak = std::weak_ptr<State>(state_)] {
    if (auto state = weak.lock()) state->arm();
  });
}

}  // namespace km::apiserver
