// SharedInformer: the current objects of one resource on this side of the API server, and news of their changes.
//
// What it promises:
//   - The store becomes what the server has, eventually. It may lag, skip states that did not last, and never goes back:
//     each object's versions appear in the order in which the server made them.
//   - The store is updated before handlers hear of a change; so a handler sees in the store the object it is told about, or
//     a later one, or none if it is gone by then.
//   - Each handler hears of every object's life in order: an add, then updates, then a delete; then maybe an add again, as an
//     object with the same key and another uid may take the place. Where the informer missed something (a watch that
//     could not be resumed), the handler hears the difference: adds, updates, and deletes with `finalStateUnknown`, of
//     which the last state known is told.
//   - Of two objects, changes are told in the order of the watch; after a list in no order.
//   - One handler is never called by two threads at a time; different handlers are independent, a slow one delays
//     nobody else. Notifications wait without limit: be prompt, and put keys into a WorkQueue for what takes long.
//   - A handler that is added late first hears an add (initial) for each object in the store, then the changes.
//   - An update may come for an object that did not change (after a new list); compare resourceVersion to skip it.
//   - hasSynced() of the informer: the store holds the first full list. Of a handler's registration: the handler has been
//     called for each object of that list. Once true they stay true.
//   - Objects are shared by the whole process and never change: clone() to edit.
//
// How: list at any resourceVersion, then watch from there, with bookmarks. A watch that ends is resumed from the last
// version seen; 410 (Gone, Expired) leads to a new list at the most recent version. Failures wait 200 ms, doubled up to
// 30 s with jitter; two minutes without failure start over.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "api/selector.h"
#include "client/client.h"
#include "client/indexer.h"
#include "client/timers.h"
#include "client/worker_pool.h"

namespace km::client {

// Absent functions are skipped. Called on the WorkerPool; may block, but only its own handler waits then.
struct Handler {
  // `initial`: the object was there before the handler was added, or came with the first list.
  std::function<void(const ObjectPtr& object, bool initial)> onAdd;
  std::function<void(const ObjectPtr& before, const ObjectPtr& now)> onUpdate;
  // `last`: the state at deletion, or the last known if `finalStateUnknown`.
  std::function<void(const ObjectPtr& last, bool finalStateUnknown)> onDelete;
};

// A handler's place in an informer. Destroying it takes the handler out and waits for a call in progress, unless it is
// destroyed inside that call. It may outlive the informer.
class Registration {
 public:
  virtual ~Registration() = default;
  virtual bool hasSynced() const = 0;
};

class SharedInformer {
 public:
  struct What {
    const api::Resource* resource = nullptr;
    std::string ns;  // empty: all
    std::string labelSelector;
    std::string fieldSelector;
    auto operator<=>(const What&) const = default;
  };

  // The client, pool and timers must outlive the informer.
  SharedInformer(Client& client, WorkerPool& pool, Timers& timers, What what);
  ~SharedInformer();  // stop()
  SharedInformer(const SharedInformer&) = delete;
  SharedInformer& operator=(const SharedInformer&) = delete;

  // Before or after start(), from any thread.
  [[nodiscard]] std::unique_ptr<Registration> addHandler(Handler handler);
  void addIndex(std::string_view name, IndexFunction function);

  void start();  // returns at once; again: nothing
  // Ends list and watch; when it returns no handler is called any more. The store stays readable.
  void stop();

  bool hasSynced() const;
  // Waits for hasSynced(); false if `timeout` passes or the informer stops before. Not on a transport's thread.
  bool waitForSync(Duration timeout = std::chrono::hours(1)) const;
  // Calls back once when hasSynced() is true, at once if it is; on a transport's thread or the caller's.
  void whenSynced(std::function<void()> callback);

  const Indexer& store() const;
  const What& what() const;
  // The resourceVersion up to which the store is current.
  int64_t lastResourceVersion() const;

  struct Core;

 private:
  std::shared_ptr<Core> core_;
};

// A typed view of an informer's store. Cheap to copy; the informer must outlive it.
template <typename T>
class Lister {
 public:
  using Ptr = std::shared_ptr<const T>;
  Lister() = default;
  explicit Lister(const Indexer& store) : store_(&store) {}
  explicit Lister(const SharedInformer& informer) : Lister(informer.store()) {}

  // Null if absent. Of cluster-scoped kinds `ns` is empty.
  Ptr get(std::string_view ns, std::string_view name) const {
    return getKey(ns.empty() ? std::string(name) : std::string(ns).append("/").append(name));
  }
  Ptr getKey(std::string_view key) const {
    ObjectPtr o = store_->get(key);
    return o ? api::share<T>(o) : nullptr;
  }
  std::vector<Ptr> list() const { return typed(store_->list(), nullptr); }
  std::vector<Ptr> list(const api::LabelSelector& selector) const { return typed(store_->list(), &selector); }
  std::vector<Ptr> list(std::string_view ns) const { return typed(store_->byIndex(kNamespaceIndex, ns), nullptr); }
  std::vector<Ptr> list(std::string_view ns, const api::LabelSelector& selector) const {
    return typed(store_->byIndex(kNamespaceIndex, ns), &selector);
  }
  std::vector<Ptr> byIndex(std::string_view index, std::string_view value) const {
    return typed(store_->byIndex(index, value), nullptr);
  }

 private:
  static std::vector<Ptr> typed(const std::vector<ObjectPtr>& objects, const api::LabelSelector* selector) {
    std::vector<Ptr> out;
    out.reserve(objects.size());
    for (const ObjectPtr& o : objects) {
      const T& value = o->as<T>();
      if (selector == nullptr || selector->matches(value.metadata.labels)) out.push_back(api::share<T>(o));
    }
    return out;
  }
  const Indexer* store_ = nullptr;
};

// One informer for each (resource, namespace, selectors) of a process, so that parts share stores and watches. Any thread.
class InformerFactory {
 public:
  InformerFactory(Client& client, WorkerPool& pool, Timers& timers);
  ~InformerFactory();  // stop()

  // Made at the first call, started by the next start(). Lives as long as the factory.
  SharedInformer& informer(const SharedInformer::What& what);
  SharedInformer& informer(const codec::TypeInfo& type);
  template <typename T>
  SharedInformer& of() {
    return informer(T::kType);
  }
  template <typename T>
  Lister<T> lister() {
    return Lister<T>(informer(T::kType));
  }

  void start();  // those not started yet; also of informers made later, once called again
  bool waitForSync(Duration timeout = std::chrono::hours(1));
  // Calls back once when all informers that exist now have synced; on a transport's thread or the caller's.
  void whenSynced(std::function<void()> callback);
  void stop();

 private:
  Client& client_;
  WorkerPool& pool_;
  Timers& timers_;
  std::mutex mutex_;
  bool stopped_ = false;
  std::map<SharedInformer::What, std::unique_ptr<SharedInformer>> informers_;
};

}  // namespace km::client
