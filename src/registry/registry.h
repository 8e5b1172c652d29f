// Registry: the generic life of one resource's objects, from a decoded request to the store and back
// (upstream's registry/generic/registry.Store). It runs the resource's Strategy in one order for every
// resource.
//
// Asynchronous: a call returns at once or answers before it returns; callbacks run on the caller's thread, or
// on the store's committer thread (then post elsewhere before doing more than encoding an answer).
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "api/object.h"
#include "api/resource.h"
#include "base/clock.h"
#include "base/result.h"
#include "cache/resource_cache.h"
#include "registry/strategy.h"
#include "store/store.h"

namespace km::registry {

using ObjectCallback = std::function<void(Result<api::ObjectPtr>)>;

// Validating admission of a create (old is null), an update, or a deletion (the new object is null); of the former two it runs after the
// strategy's validation. Answers before it returns, or later on a thread that may work.
using Admit = std::function<void(const api::MutableObject& o, const api::ObjectPtr& old, std::function<void(Status)> done)>;

// Makes the new object from the stored one (null if there is none). May run several times, when another
// writer came between. For an update it holds the body of the request, for a patch it applies the patch;
// mutating admission is part of it. Answers before it returns, or later on a thread that may work.
using MakeObject = std::function<void(const api::ObjectPtr& existing, std::function<void(Result<api::MutableObject>)> done)>;
// A maker that has nothing to wait for.
MakeObject makeAtOnce(std::function<Result<api::MutableObject>(const api::ObjectPtr& existing)> make);

struct DeleteOptions {
  std::optional<int64_t> gracePeriodSeconds;
  std::optional<bool> orphanDependents;
  std::string propagationPolicy;  // "", "Orphan", "Background", "Foreground"
  std::optional<std::string> uid;
  std::optional<std::string> resourceVersion;
};

struct Deleted {
  api::ObjectPtr object;     // its last version
  bool immediately = false;  // it is gone; else it is marked, and goes later
};
using DeleteCallback = std::function<void(Result<Deleted>)>;

struct UpdateResult {
  api::ObjectPtr object;
  bool created = false;
};
using UpdateCallback = std::function<void(Result<UpdateResult>)>;

// Reason of an error of Hooks::claim: another server has it. The write begins anew with what is known now.
inline constexpr std::string_view kTakenElsewhere = "TakenElsewhere";

// What a write takes from a shared stock (addresses and ports of services). `begin` runs before the strategy
// prepares and validates, in this process's memory; it gives back a function that is called once with whether
// the write was stored. `claim` then takes the same in the store, where several servers share the stock.
struct Hooks {
  using Next = std::function<void()>;
  std::function<Result<std::function<void(bool stored)>>(api::Object& o, const api::Object* old)> begin;
  // Just before a create or an update goes to the store, what it needs beyond `old`. An error refuses the write,
  // and leaves nothing claimed. The objects given to this and the next two live until `next` is called.
  std::function<void(const api::Object& o, const api::Object* old, std::function<void(Status)> next)> claim;
  // The write was not stored: what was claimed for it is free again.
  std::function<void(const api::Object& o, const api::Object* old, Next next)> unclaim;
  // The write was stored: lets go of what `before` had and `now` has not; null: the object is gone. The answer to
  // the client waits for it.
  std::function<void(const api::Object& before, const api::Object* now, Next next)> freed;
};

class Registry {
 public:
  // All must outlive the registry. `offload` runs a task on a worker: for retries that would else run on the
  // committer.
  Registry(store::Store& store, cache::ResourceCache& cache, const Strategy& strategy, Clock& clock,
           std::function<void(std::function<void()>)> offload);

  const api::Resource& resource() const { return *cache_.config().resource; }
  cache::ResourceCache& cache() { return cache_; }
  const Strategy& strategy() const { return strategy_; }
  // The rules of writes through a subresource: its own if it has some, else the resource's.
  const Strategy& strategyOf(std::string_view subresource) const;
  // Before the first call.
  void addSubresource(std::string name, std::unique_ptr<Strategy> strategy) {
    subresources_[std::move(name)] = std::move(strategy);
  }

  // The newest version, seeing every acknowledged write; 404 if there is none.
  void get(std::string_view ns, std::string_view name, ObjectCallback done);

  void create(const Context& c, api::MutableObject o, Admit admit, ObjectCallback done);

  void update(const Context& c, std::string name, MakeObject make, Admit admit, bool allowCreate,
              UpdateCallback done);

  void remove(const Context& c, std::string name, DeleteOptions options, Admit admit, DeleteCallback done);

  // Events go after this time; other resources have none.
  void setTtl(int64_t seconds) { ttlSeconds_ = seconds; }

  void setHooks(Hooks hooks) { hooks_ = std::move(hooks); }

  GroupResource groupResource() const { return {resource().group, resource().name}; }
  // As the request names it: events are served in two groups.
  GroupResource groupResource(const Context& c) const {
    return {c.group.empty() ? resource().group : c.group, resource().name};
  }

 private:
  struct UpdateCall;
  struct DeleteCall;
  class Taken;  // what Hooks::begin took; given back unless stored

  Result<std::shared_ptr<Taken>> take(api::Object& o, const api::Object* old) const;

  void attemptUpdate(std::shared_ptr<UpdateCall> call, api::ObjectPtr existing);
  void settleUpdate(std::shared_ptr<UpdateCall> call, api::MutableObject o, api::ObjectPtr existing);
  void admitUpdate(std::shared_ptr<UpdateCall> call, api::MutableObject o, api::ObjectPtr existing);
  void attemptDelete(std::shared_ptr<DeleteCall> call, api::ObjectPtr existing);
  void markOrErase(std::shared_ptr<DeleteCall> call, api::ObjectPtr existing);
  // The stored value as an object, when a guard failed.
  Result<api::ObjectPtr> current(const std::optional<store::KeyValue>& kv) const;
  void retry(std::function<void(api::ObjectPtr)> again, const std::optional<store::KeyValue>& kv,
             std::function<void(Status)> failed);
  store::Bytes encode(api::Object& o) const;
  Status prepareCreate(const Context& c, api::Object& o) const;
  Status prepareUpdate(const Context& c, api::Object& o, const api::Object& old) const;
  void checkMetaUpdate(const Context& c, const api::Object& o, const api::Object& old,
                       api::FieldErrors& bad) const;
  Status checkPreconditions(const DeleteOptions& options, const api::Object& o) const;
  Status wrongUid(const Context& c, std::string_view name, std::string_view stored) const;
  struct CreateCall;
  void createOnce(std::shared_ptr<CreateCall> call);
  void commitCreate(std::shared_ptr<CreateCall> call);
  void writeCreate(std::shared_ptr<CreateCall> call);
  Status createConflict(const CreateCall& call, const std::optional<store::KeyValue>& kv) const;
  void createAbsent(std::shared_ptr<UpdateCall> call, api::MutableObject o);
  void commitUpdate(std::shared_ptr<UpdateCall> call, api::MutableObject o, api::ObjectPtr existing,
                    std::shared_ptr<Taken> taken);
  void writeUpdate(std::shared_ptr<UpdateCall> call, api::MutableObject o, api::ObjectPtr existing,
                   std::shared_ptr<Taken> taken, bool emptied);
  void freed(const api::Object& before, const api::Object* now, Hooks::Next next);
  void commit(store::Txn txn, store::Store::Callback<store::TxnResult> done);
  void mark(std::shared_ptr<DeleteCall> call, api::MutableObject o, const api::Object& existing,
            bool thenErase);
  void hold(std::shared_ptr<DeleteCall> call, api::ObjectPtr existing);
  void markHeld(std::shared_ptr<DeleteCall> call, const api::ObjectPtr& existing);
  void erase(std::shared_ptr<DeleteCall> call, api::ObjectPtr last, bool ignoreNotFound);

  store::Store& store_;
  cache::ResourceCache& cache_;
  const Strategy& strategy_;
  Clock& clock_;
  std::function<void(std::function<void()>)> offload_;
  std::map<std::string, std::unique_ptr<Strategy>, std::less<>> subresources_;
  int64_t ttlSeconds_ = 0;
  Hooks hooks_;
};

}  // namespace km::registry
