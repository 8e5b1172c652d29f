#include "client/informer.h"

#include <atomic>
#include <condition_variable>
#include <set>

#include "api/types/meta_v1.h"
#include "base/log.h"
#include "client/backoff.h"

namespace km::client {
namespace {

// A watch that ends this soon without an event is a failure of the server.
constexpr Duration kShortWatch = std::chrono::seconds(1);

bool isGone(const Status& s) { return s.is("Expired") || s.is("Gone") || s.code() == 410; }

// The server is behind the version asked for.
bool isTooLarge(const Status& s) {
  if (s.details() == nullptr) return false;
  for (const StatusCause& c : s.details()->causes) {
    if (c.reason == "ResourceVersionTooLarge") return true;
  }
  return false;
}

// One handler and what it has not heard yet.
struct Listener {
  Listener(WorkerPool& pool, Handler h) : handler(std::move(h)), lane(pool, 1) {}
  const Handler handler;
  std::atomic<bool> synced{false};
  Lane lane;

  static void add(const std::shared_ptr<Listener>& l, ObjectPtr object, bool initial) {
    if (!l->handler.onAdd) return;
    l->lane.post([l, object = std::move(object), initial] { l->handler.onAdd(object, initial); });
  }
  static void update(const std::shared_ptr<Listener>& l, ObjectPtr before, ObjectPtr now) {
    if (!l->handler.onUpdate) return;
    l->lane.post([l, before = std::move(before), now = std::move(now)] { l->handler.onUpdate(before, now); });
  }
  static void remove(const std::shared_ptr<Listener>& l, ObjectPtr last, bool unknown) {
    if (!l->handler.onDelete) return;
    l->lane.post([l, last = std::move(last), unknown] { l->handler.onDelete(last, unknown); });
  }
  static void markSynced(const std::shared_ptr<Listener>& l) {
    l->lane.post([l] { l->synced = true; });
  }
};

}  // namespace

// The reflector and the fan-out. Client calls are made and watches destroyed without the mutex, since both may call back or
// wait for a call back.
struct SharedInformer::Core : std::enable_shared_from_this<SharedInformer::Core> {
  Core(Client& c, WorkerPool& p, Timers& t, What w) : client(c), pool(p), timers(t), what(std::move(w)) {}

  Client& client;
  WorkerPool& pool;
  Timers& timers;
  const What what;
  Indexer store;

  mutable std::mutex mutex;
  mutable std::condition_variable changed;
  std::vector<std::shared_ptr<Listener>> listeners;
  std::vector<std::function<void()>> syncCallbacks;
  bool started = false;
  bool stopped = false;
  bool synced = false;
  bool versionUnavailable = false;  // the server cannot list at lastVersion
  int64_t lastVersion = 0;
  uint64_t generation = 0;  // of the list or watch whose answers count
  std::unique_ptr<Watch> watch;
  Duration watchBegan{0};
  bool watchHadEvents = false;
  Timers::Id timer = 0;
  Backoff backoff{std::chrono::milliseconds(200), std::chrono::seconds(30), std::chrono::minutes(2)};

  struct Sink : WatchSink {
    std::weak_ptr<Core> core;
    uint64_t generation = 0;
    void onEvent(const WatchEvent& event) override {
      if (auto c = core.lock()) c->onEvent(generation, event);
    }
    void onEnd(const Status& why) override {
      if (auto c = core.lock()) c->onEnd(generation, why);
    }
  };

  Target target() const { return {what.resource, what.ns, "", ""}; }
  std::string label() const {
    return std::string(what.resource->name) + (what.resource->group.empty() ? "" : ".") + std::string(what.resource->group);
  }

  // --- list ---------------------------------------------------------------------------------------------

  void startList() {
    ListOptions options;
    uint64_t mine;
    {
      std::lock_guard lock(mutex);
      if (stopped) return;
      mine = ++generation;
      options.labelSelector = what.labelSelector;
      options.fieldSelector = what.fieldSelector;
      options.resourceVersion = versionUnavailable ? "" : std::to_string(lastVersion);
    }
    client.list(target(), options, [weak = weak_from_this(), mine](Result<ObjectList> result) {
      if (auto c = weak.lock()) c->onList(mine, std::move(result));
    });
  }

  void onList(uint64_t mine, Result<ObjectList> result) {
    std::vector<std::function<void()>> callbacks;
    {
      std::lock_guard lock(mutex);
      if (stopped || mine != generation) return;
      if (!result.ok()) {
        const Status& why = result.status();
        bool again = (isGone(why) || isTooLarge(why)) && !versionUnavailable;
        if (again) versionUnavailable = true;
        if (!again) KM_LOG(WARNING, "Failed to list {}: {}", label(), why.message());
        retryLater([](Core& c) { c.startList(); }, again ? Duration(0) : nextDelay(why));
        return;
      }
      versionUnavailable = false;
      replace(*result);
      lastVersion = result->resourceVersion;
      if (!synced) {
        synced = true;
        callbacks.swap(syncCallbacks);
        for (auto& l : listeners) Listener::markSynced(l);
        changed.notify_all();
      }
    }
    for (auto& callback : callbacks) callback();
    startWatch();
  }

  // Makes the store equal to the list and tells the difference. With the lock.
  void replace(const ObjectList& list) {
    bool first = !synced;
    std::set<std::string> keys;
    for (const ObjectPtr& o : list.items) {
      keys.insert(o->key());
      putObject(o, first);
    }
    if (store.size() == keys.size()) return;
    for (const std::string& key : store.keys()) {
      if (!keys.contains(key)) eraseObject(store.get(key), true);
    }
  }

  void putObject(const ObjectPtr& object, bool initial) {
    ObjectPtr before = store.get(object->key());
    if (before && before->meta().uid != object->meta().uid) {
      eraseObject(before, true);
      before = nullptr;
    }
    store.put(object);
    if (!before) {
      for (auto& l : listeners) Listener::add(l, object, initial);
    } else if (before->resourceVersion() != object->resourceVersion()) {
      for (auto& l : listeners) Listener::update(l, before, object);
    }
  }

  void eraseObject(const ObjectPtr& last, bool unknown) {
    if (!store.erase(last->key())) return;
    for (auto& l : listeners) Listener::remove(l, last, unknown);
  }

  // --- watch --------------------------------------------------------------------------------------------

  void startWatch() {
    auto sink = std::make_shared<Sink>();
    ListOptions options;
    {
      std::lock_guard lock(mutex);
      if (stopped) return;
      sink->core = weak_from_this();
      sink->generation = ++generation;
      options.labelSelector = what.labelSelector;
      options.fieldSelector = what.fieldSelector;
      options.resourceVersion = std::to_string(lastVersion);
      watchBegan = timers.clock().monotonic();
      watchHadEvents = false;
    }
    auto begun = client.watch(target(), options, sink);
    {
      std::lock_guard lock(mutex);
      // It may have ended already; then it is not the one that counts any more.
      if (!stopped && generation == sink->generation) std::swap(watch, begun);
    }
  }

  void onEvent(uint64_t mine, const WatchEvent& event) {
    std::unique_ptr<Watch> old;
    std::lock_guard lock(mutex);
    if (stopped || mine != generation) return;
    if (event.type == EventType::kError) {
      endWatch(old, event.error);
      return;
    }
    watchHadEvents = true;
    if (!event.object) return;
    if (int64_t version = event.object->resourceVersion(); version > 0) lastVersion = version;
    switch (event.type) {
      case EventType::kAdded:
      case EventType::kModified:
        putObject(event.object, false);
        break;
      case EventType::kDeleted:
        eraseObject(event.object, false);
        break;
      default:
        break;
    }
  }

  void onEnd(uint64_t mine, const Status& why) {
    std::unique_ptr<Watch> old;
    std::lock_guard lock(mutex);
    if (stopped || mine != generation) return;
    endWatch(old, why);
  }

  // What follows a watch. With the lock; `old` receives the watch, to be destroyed without it.
  void endWatch(std::unique_ptr<Watch>& old, const Status& why) {
    generation++;
    old = std::move(watch);
    if (why.ok()) {
      bool tooShort = !watchHadEvents && timers.clock().monotonic() - watchBegan < kShortWatch;
      retryLater([](Core& c) { c.startWatch(); }, tooShort ? nextDelay(why) : Duration(0));
    } else if (isGone(why)) {
      retryLater([](Core& c) { c.startList(); }, Duration(0));
    } else {
      KM_VLOG(2, "Watch of {} ended: {}", label(), why.message());
      retryLater([](Core& c) { c.startWatch(); }, nextDelay(why));
    }
  }

  // --- the rest -----------------------------------------------------------------------------------------

  Duration nextDelay(const Status& why) {
    Duration wait = backoff.next(timers.clock().monotonic());
    if (!why.ok() && why.details() != nullptr) {
      wait = std::max<Duration>(wait, std::chrono::seconds(why.details()->retryAfterSeconds));
    }
    return wait;
  }

  // With the lock. On the timers' thread, so never inside a call of the client's.
  void retryLater(void (*step)(Core&), Duration delay) {
    uint64_t mine = ++generation;
    timer = timers.after(delay, [weak = weak_from_this(), step, mine] {
      auto c = weak.lock();
      if (!c) return;
      {
        std::lock_guard lock(c->mutex);
        if (c->stopped || c->generation != mine) return;
      }
      step(*c);
    });
  }

  void stop() {
    std::unique_ptr<Watch> old;
    std::vector<std::shared_ptr<Listener>> ended;
    {
      std::lock_guard lock(mutex);
      stopped = true;
      generation++;
      old = std::move(watch);
      ended.swap(listeners);
      timers.cancel(timer);
      changed.notify_all();
    }
    old.reset();
    for (auto& l : ended) l->lane.close();
  }
};

namespace {

struct RegistrationImpl : Registration {
  std::weak_ptr<SharedInformer::Core> core;
  std::shared_ptr<Listener> listener;
  ~RegistrationImpl() override {
    if (auto c = core.lock()) {
      std::lock_guard lock(c->mutex);
      std::erase(c->listeners, listener);
    }
    listener->lane.close();  // a call that this runs inside keeps the listener
  }
  bool hasSynced() const override { return listener->synced; }
};

}  // namespace

SharedInformer::SharedInformer(Client& client, WorkerPool& pool, Timers& timers, What what)
    : core_(std::make_shared<Core>(client, pool, timers, std::move(what))) {}

SharedInformer::~SharedInformer() { stop(); }

std::unique_ptr<Registration> SharedInformer::addHandler(Handler handler) {
  auto out = std::make_unique<RegistrationImpl>();
  out->core = core_;
  out->listener = std::make_shared<Listener>(core_->pool, std::move(handler));
  std::lock_guard lock(core_->mutex);
  if (core_->stopped) return out;
  for (const ObjectPtr& o : core_->store.list()) Listener::add(out->listener, o, true);
  if (core_->synced) Listener::markSynced(out->listener);
  core_->listeners.push_back(out->listener);
  return out;
}

void SharedInformer::addIndex(std::string_view name, IndexFunction function) {
  core_->store.addIndex(name, std::move(function));
}

void SharedInformer::start() {
  {
    std::lock_guard lock(core_->mutex);
    if (core_->started || core_->stopped) return;
    core_->started = true;
  }
  core_->startList();
}

void SharedInformer::stop() { core_->stop(); }

bool SharedInformer::hasSynced() const {
  std::lock_guard lock(core_->mutex);
  return core_->synced;
}

bool SharedInformer::waitForSync(Duration timeout) const {
  std::unique_lock lock(core_->mutex);
  core_->changed.wait_for(lock, timeout, [&] { return core_->synced || core_->stopped; });
  return core_->synced;
}

void SharedInformer::whenSynced(std::function<void()> callback) {
  {
    std::lock_guard lock(core_->mutex);
    if (!core_->synced) {
      core_->syncCallbacks.push_back(std::move(callback));
      return;
    }
  }
  callback();
}

const Indexer& SharedInformer::store() const { return core_->store; }
const SharedInformer::What& SharedInformer::what() const { return core_->what; }

int64_t SharedInformer::lastResourceVersion() const {
  std::lock_guard lock(core_->mutex);
  return core_->lastVersion;
}

}  // namespace km::client
