#include "controllers/context.h"

#include "base/log.h"

namespace km::controllers {

SyncLoop::SyncLoop(Context& context, std::string_view name, int workers, std::function<Status(const std::string&)> sync)
    : pool_(context.pool), sync_(std::move(sync)), workers_(workers), queue_(name, context.timers) {}

SyncLoop::~SyncLoop() { stop(); }

void SyncLoop::start() {
  running_ = std::make_unique<client::QueueWorkers>(queue_, pool_, workers_, [this](const std::string& key) { run(key); });
}

void SyncLoop::stop() {
  handlers_.clear();
  queue_.shutDown();
  running_.reset();
}

void SyncLoop::on(client::SharedInformer& informer, client::Handler handler) {
  handlers_.push_back(informer.addHandler(std::move(handler)));
}

void SyncLoop::onKeys(client::SharedInformer& informer) {
  on(informer, {[this](const ObjectPtr& o, bool) { add(o->key()); },
                [this](const ObjectPtr&, const ObjectPtr& o) { add(o->key()); },
                [this](const ObjectPtr& o, bool) { add(o->key()); }});
}

void SyncLoop::run(const std::string& key) {
  Status s = sync_(key);
  if (s.ok()) {
    queue_.forget(key);
    return;
  }
  // A conflict only says that the cache was behind.
  if (s.is("Conflict")) {
    KM_VINFO(2, "Sync will be retried", {{"queue", queue_.name()}, {"key", key}, {"err", s}});
  } else {
    logError(s, "Sync failed", {{"queue", queue_.name()}, {"key", key}});
  }
  queue_.addRateLimited(key);
}

}  // namespace km::controllers
