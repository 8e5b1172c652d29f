// What can be done with resources, whatever the transport: the HTTP handlers decode into these calls and encode their
// results, the local client calls them with objects. Every call has been authorized.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "admission/plugin.h"
#include "apiserver/call.h"
#include "async/loop.h"
#include "authz/authorizer.h"
#include "cache/watcher.h"
#include "registry/registry.h"

namespace km::apiserver {

using CallPtr = std::shared_ptr<Call>;

struct ListResult {
  std::vector<api::ObjectPtr> items;  // of the storage version
  int64_t resourceVersion = 0;
  std::string continueToken;
  std::optional<int64_t> remaining;
};

struct WatchResult {
  std::unique_ptr<cache::Watcher> watcher;
  std::vector<api::ObjectPtr> initial;  // to be sent as ADDED first
  int64_t initialRevision = 0;
  bool markInitialEnd = false;          // a bookmark ends the initial events
};

enum class PatchKind { kJson, kMerge, kStrategicMerge, kApply };

class Operations {
 public:
  // `timers`: a loop for waits that end by time. `offload` runs what may block (reads of the past from the store).
  Operations(Resources& resources, store::Store& store, const admission::Chain& admission, Clock& clock, async::Loop& timers,
             std::function<void(std::function<void()>)> offload);

  // Objects in and out are of the storage version; `toServed` converts for an answer.
  void get(CallPtr call, registry::ObjectCallback done);
  void list(CallPtr call, std::function<void(Result<ListResult>)> done);
  void watch(CallPtr call, std::function<void()> wake, std::function<void(Result<WatchResult>)> done);
  void create(CallPtr call, api::MutableObject o, registry::ObjectCallback done);
  void update(CallPtr call, api::MutableObject o, registry::UpdateCallback done);
  void patch(CallPtr call, PatchKind kind, std::string body, registry::UpdateCallback done);
  void remove(CallPtr call, registry::DeleteOptions options, registry::DeleteCallback done);
  void removeCollection(CallPtr call, registry::DeleteOptions options, std::function<void(Result<ListResult>)> done);

  // Defaults a decoded object and brings it to the storage version.
  Result<api::MutableObject> toStored(const Call& call, api::MutableObject o) const;
  Result<api::ObjectPtr> toServed(const Call& call, const api::ObjectPtr& o) const;

  // What the registry may know of the call.
  registry::Context context(const Call& call) const;
  // Whether a body is of the object that the call names; gives it the call's namespace.
  Status checkBody(const Call& call, api::Object& o) const;

  // The predicate of the call's selectors; errors are 400s as upstream words them.
  Result<cache::Selection> selection(const Call& call) const;

  // Whether the object could be upstream's internal one; a 400 as the decoder would say it.
  Status checkDecoded(const Call& call, const api::Object& o) const;

  // Admission, mutating and validating, of the object that a subresource creates (a Binding, an Eviction). Answers as
  // registry::Admit does.
  void admitSubresource(CallPtr call, api::MutableObject o, std::function<void(Status)> done) const;

  // Asked about every create (old is null) and update, after mutating admission. Once, before the first call.
  using Guard = std::function<Status(const Call& call, const api::Object& o, const api::Object* old)>;
  void setGuard(Guard guard) { guard_ = std::move(guard); }
  // Whether the call's user may do this to the call's object.
  authz::Answer ask(const Call& call, std::string_view verb) const;
  // Asked whether a replace or an apply may create. Once, before the first call; must outlive this.
  void setAuthorizer(const authz::Authorizer* authorizer) { authorizer_ = authorizer; }

  Resources& resources() { return resources_; }
  Clock& clock() { return clock_; }

 private:
  void admitMutating(const CallPtr& call, api::MutableObject o, api::ObjectPtr old, std::function<void(Status)> done) const;
  void finishMaking(const CallPtr& call, api::MutableObject stored, const api::ObjectPtr& existing, bool repeatedOwners,
                    std::function<void(Result<api::MutableObject>)> done) const;
  Result<api::MutableObject> patched(const CallPtr& call, PatchKind kind, std::string_view body, const api::ObjectPtr& existing) const;
  registry::Admit validating(CallPtr call) const;
  Status mayCreate(const Call& call) const;
  Status settle(const Call& call, api::MutableObject& o) const;
  registry::MakeObject updateMaker(CallPtr call, api::MutableObject o);
  registry::MakeObject patchMaker(CallPtr call, PatchKind kind, std::string body);

  // Runs `done` when the cache is at the revision; a revision that does not come within three seconds is an error.
  void waitFor(cache::ResourceCache& cache, int64_t revision, std::function<void(Status)> done);
  void listPast(CallPtr call, int64_t revision, std::string start, std::function<void(Result<ListResult>)> done);
  Result<ListResult> page(const Call& call, std::span<const api::ObjectPtr> all, const cache::Selection& selection,
                          int64_t revision) const;
  void startWatch(CallPtr call, cache::Selection selection, std::function<void()> wake, std::function<void(Result<WatchResult>)> done);

  Resources& resources_;
  store::Store& store_;
  const admission::Chain& admission_;
  Clock& clock_;
  async::Loop& timers_;
  std::function<void(std::function<void()>)> offload_;
  const authz::Authorizer* authorizer_ = nullptr;
  Guard guard_;
};

}  // namespace km::apiserver
