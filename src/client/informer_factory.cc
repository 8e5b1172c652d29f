#include "client/informer.h"

#include <atomic>

namespace km::client {

InformerFactory::InformerFactory(Client& client, WorkerPool& pool, Timers& timers)
    : client_(client), pool_(pool), timers_(timers) {}

InformerFactory::~InformerFactory() { stop(); }

SharedInformer& InformerFactory::informer(const SharedInformer::What& what) {
  std::lock_guard lock(mutex_);
  auto& slot = informers_[what];
  if (!slot) {
    slot = std::make_unique<SharedInformer>(client_, pool_, timers_, what);
    if (stopped_) slot->stop();
  }
  return *slot;
}

SharedInformer& InformerFactory::informer(const codec::TypeInfo& type) {
  return informer(SharedInformer::What{target(type).resource, "", "", ""});
}

void InformerFactory::start() {
  std::vector<SharedInformer*> all;
  {
    std::lock_guard lock(mutex_);
    for (auto& [what, informer] : informers_) all.push_back(informer.get());
  }
  for (SharedInformer* informer : all) informer->start();
}

bool InformerFactory::waitForSync(Duration timeout) {
  std::vector<SharedInformer*> all;
  {
    std::lock_guard lock(mutex_);
    for (auto& [what, informer] : informers_) all.push_back(informer.get());
  }
  auto until = std::chrono::steady_clock::now() + timeout;
  for (SharedInformer* informer : all) {
    Duration left = until - std::chrono::steady_clock::now();
    if (!informer->waitForSync(std::max(left, Duration(0)))) return false;
  }
  return true;
}

void InformerFactory::whenSynced(std::function<void()> callback) {
  std::vector<SharedInformer*> all;
  {
    std::lock_guard lock(mutex_);
    for (auto& [what, informer] : informers_) all.push_back(informer.get());
  }
  if (all.empty()) return callback();
  auto left = std::make_shared<std::atomic<size_t>>(all.size());
  for (SharedInformer* informer : all) {
    informer->whenSynced([left, callback] {
      if (--*left == 0) callback();
    });
  }
}

void InformerFactory::stop() {
  std::vector<SharedInformer*> all;
  {
    std::lock_guard lock(mutex_);
    stopped_ = true;
    for (auto& [what, informer] : informers_) all.push_back(informer.get());
  }
  for (SharedInformer* informer : all) informer->stop();
}

}  // namespace km::client
