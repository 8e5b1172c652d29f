#include "scheduler/scheduler.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "api/types/apps_v1.h"
#include "api/types/policy_v1.h"
#include "api/types/resource_v1.h"
#include "api/types/storage_v1.h"
#include "scheduler/api_writer.h"
#include "scheduler/core.h"
#include "scheduler/metrics.h"

namespace km::scheduler {
namespace {

using api::core_v1::Node;
using api::core_v1::Pod;

// Those of `f`; each is named in `needed`.
Listers listersOf(client::InformerFactory& f, std::vector<client::SharedInformer*>& needed) {
  Listers l;
  auto take = [&](client::SharedInformer& i) {
    needed.push_back(&i);
    return &i;
  };
  l.services = take(f.of<api::core_v1::Service>());
  l.replicationControllers = take(f.of<api::core_v1::ReplicationController>());
  l.replicaSets = take(f.of<api::apps_v1::ReplicaSet>());
  l.statefulSets = take(f.of<api::apps_v1::StatefulSet>());
  l.budgets = take(f.of<api::policy_v1::PodDisruptionBudget>());
  l.volumes = take(f.of<api::core_v1::PersistentVolume>());
  l.claims = take(f.of<api::core_v1::PersistentVolumeClaim>());
  l.storageClasses = take(f.of<api::storage_v1::StorageClass>());
  l.deviceClaims = take(f.of<api::resource_v1::ResourceClaim>());
  l.csiNodes = take(f.of<api::storage_v1::CSINode>());
  l.csiDrivers = take(f.of<api::storage_v1::CSIDriver>());
  l.capacities = take(f.of<api::storage_v1::CSIStorageCapacity>());
  return l;
}

}  // namespace

Scheduler::Scheduler(client::Client& client, client::InformerFactory& informers, client::WorkerPool& pool,
                     client::Timers& timers, const std::string& hostName, Config config)
    : informers_(informers),
      timers_(timers),
      metrics_(std::make_unique<Metrics>(MetricRegistry::process())),
      lane_(pool) {
  for (const ProfileConfig& p : config.profiles) {
    recorders_[p.schedulerName] = std::make_unique<client::SeriesRecorder>(
        client, pool, timers, p.schedulerName, p.schedulerName + "-" + hostName);
  }
  gate_->scheduler = this;
  writer_ = std::make_unique<ApiWriter>(client, pool, recorders_, timers.clock(),
                                        [this](Item item) { tell(std::move(item)); });
  CoreOptions options;
  options.backoff = config.backoff;
  options.listers = listersOf(informers, needed_);
  options.listers.client = &client;
  options.listers.timers = &timers;
  std::vector<Profile> profiles;
  std::vector<PluginArgs> args;
  for (const ProfileConfig& p : config.profiles) {
    profiles.push_back(makeProfile(p, options.listers));
    args.push_back(p.args);
  }
  core_ = std::make_unique<Core>(std::move(profiles), std::move(args), *writer_, timers.clock(), *metrics_,
                                 options);
}

Scheduler::~Scheduler() {
  stop();
}

void Scheduler::watch(client::SharedInformer& informer,
                      void (Core::*on)(const api::ObjectPtr&, const api::ObjectPtr&)) {
  needed_.push_back(&informer);
  client::Handler h;
  auto say = [this, on](const api::ObjectPtr& before, const api::ObjectPtr& after) {
    tell([on, before, after](Core& c) { (c.*on)(before, after); });
  };
  h.onAdd = [say](const api::ObjectPtr& o, bool) { say(nullptr, o); };
  h.onUpdate = [say](const api::ObjectPtr& before, const api::ObjectPtr& o) { say(before, o); };
  h.onDelete = [say](const api::ObjectPtr& last, bool) { say(last, nullptr); };
  registrations_.push_back(informer.addHandler(std::move(h)));
}

void Scheduler::watchOther(client::SharedInformer& informer, uint32_t add, uint32_t update, uint32_t remove) {
  needed_.push_back(&informer);
  client::Handler h;
  auto say = [this](uint32_t kinds, const api::ObjectPtr& before, const api::ObjectPtr& after) {
    if (kinds != 0) tell([e = ClusterEvent{kinds, before, after}](Core& c) { c.onOther(e); });
  };
  h.onAdd = [say, add](const api::ObjectPtr& o, bool) { say(add, nullptr, o); };
  h.onUpdate = [say, update](const api::ObjectPtr& before, const api::ObjectPtr& o) {
    say(update, before, o);
  };
  h.onDelete = [say, remove](const api::ObjectPtr& last, bool) { say(remove, last, nullptr); };
  registrations_.push_back(informer.addHandler(std::move(h)));
}

void Scheduler::start() {
  watch(informers_.of<Node>(), &Core::onNode);
  watch(informers_.of<api::core_v1::Namespace>(), &Core::onNamespace);
  watch(informers_.of<Pod>(), &Core::onPod);
  watchOther(informers_.of<api::core_v1::PersistentVolume>(), kVolumeAdd, kVolumeUpdate, 0);
  watchOther(informers_.of<api::core_v1::PersistentVolumeClaim>(), kClaimAdd, kClaimUpdate, kClaimDelete);
  watchOther(informers_.of<api::storage_v1::StorageClass>(), kStorageClassAdd, kStorageClassUpdate, 0);
  watchOther(informers_.of<api::resource_v1::ResourceClaim>(), kResourceClaim, kResourceClaim, 0);
  watchOther(informers_.of<api::storage_v1::CSINode>(), kCsiNode, kCsiNode, 0);
  watchOther(informers_.of<api::storage_v1::CSIDriver>(), kCsiDriver, kCsiDriver, 0);
  watchOther(informers_.of<api::storage_v1::CSIStorageCapacity>(), kCsiCapacity, kCsiCapacity, 0);
  // The cluster is known before the first pod is tried.
  auto left = std::make_shared<std::atomic<size_t>>(1);
  auto synced = [left, all = guarded(&Scheduler::begin)] {
    if (--*left == 0) all();
  };
  for (client::SharedInformer* i : needed_) {
    ++*left;
    i->whenSynced(synced);
  }
  synced();
}

// Once the handlers have told what there was.
void Scheduler::begin() {
  std::lock_guard lock(mutex_);
  if (stopped_) return;
  bool told =
      std::all_of(registrations_.begin(), registrations_.end(), [](const auto& r) { return r->hasSynced(); });
  if (!told) {
    timer_ = timers_.after(std::chrono::milliseconds(1), guarded(&Scheduler::begin));
    return;
  }
  inbox_.push_back([this](Core&) {
    std::lock_guard again(mutex_);
    started_ = true;
  });
  if (!std::exchange(running_, true)) lane_.post([this] { run(); });
}

std::function<void()> Scheduler::guarded(void (Scheduler::*call)()) {
  return [gate = gate_, call] {
    std::lock_guard lock(gate->mutex);
    if (gate->scheduler != nullptr) (gate->scheduler->*call)();
  };
}

void Scheduler::stop() {
  {
    std::lock_guard lock(gate_->mutex);
    gate_->scheduler = nullptr;
  }
  {
    std::unique_lock lock(mutex_);
    if (stopped_) return;
    stopped_ = true;
    if (timer_ != 0) timers_.cancel(timer_);
  }
  registrations_.clear();
  lane_.close();
  core_->stop();
  writer_->stop();
  for (auto& [name, r] : recorders_) r->stop();
}

void Scheduler::tell(Item item) {
  std::lock_guard lock(mutex_);
  if (stopped_) return;
  inbox_.push_back(std::move(item));
  if (std::exchange(running_, true)) return;
  lane_.post([this] { run(); });
}

void Scheduler::wake() {
  tell([](Core&) {});
}

void Scheduler::run() {
  std::vector<Item> items;
  for (bool more = true;;) {
    {
      std::lock_guard lock(mutex_);
      if (stopped_) return;
      items.swap(inbox_);
      if (items.empty() && (!more || !started_)) {
        running_ = false;
        if (started_ && timer_ != 0) timers_.cancel(std::exchange(timer_, 0));
        auto at = started_ ? core_->nextTime() : std::nullopt;
        if (at) {
          Duration wait = std::max(*at - timers_.clock().monotonic(), Duration(std::chrono::milliseconds(1)));
          timer_ = timers_.after(wait, guarded(&Scheduler::wake));
        }
        return;
      }
    }
    for (const Item& item : items) item(*core_);
    items.clear();
    bool ready;
    {
      std::lock_guard lock(mutex_);
      ready = started_;
    }
    more = ready && core_->attempt();
  }
}

}  // namespace km::scheduler
