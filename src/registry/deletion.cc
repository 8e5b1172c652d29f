// Deletion: at once, with a grace period, or by finalizers (upstream's rest.BeforeDelete and Store.Delete).
#include <fmt/format.h>

#include <algorithm>

#include "api/types/meta_v1.h"
#include "codec/proto.h"
#include "registry/registry.h"

namespace km::registry {
namespace {

constexpr char kOrphan[] = "orphan";
constexpr char kForeground[] = "foregroundDeletion";

bool has(const codec::List<codec::String>& list, std::string_view s) {
  return std::find(list.begin(), list.end(), s) != list.end();
}

// Whether the object's deletion must leave / first delete its dependents: by the options, else by finalizers that are
// there, else by the resource's default.
bool shouldOrphan(const api::meta_v1::ObjectMeta& meta, const DeleteOptions& o, GarbageCollection byDefault) {
  if (byDefault == GarbageCollection::kUnsupported) return false;
  if (o.orphanDependents) return *o.orphanDependents;
  if (!o.propagationPolicy.empty()) return o.propagationPolicy == "Orphan";
  for (const auto& f : meta.finalizers) {
    if (f == kOrphan) return true;
    if (f == kForeground) return false;
  }
  return byDefault == GarbageCollection::kOrphan;
}

bool shouldWaitForDependents(const api::meta_v1::ObjectMeta& meta, const DeleteOptions& o, GarbageCollection byDefault) {
  if (byDefault == GarbageCollection::kUnsupported || o.orphanDependents) return false;
  if (!o.propagationPolicy.empty()) return o.propagationPolicy == "Foreground";
  for (const auto& f : meta.finalizers) {
    if (f == kForeground) return true;
    if (f == kOrphan) return false;
  }
  return false;
}

// Puts the garbage collector's finalizers as the deletion wants them; whether that changed the object.
bool setGcFinalizers(api::meta_v1::ObjectMeta& meta, const DeleteOptions& o, GarbageCollection byDefault) {
  bool orphan = shouldOrphan(meta, o, byDefault);
  bool foreground = shouldWaitForDependents(meta, o, byDefault);
  if (has(meta.finalizers, kOrphan) == orphan && has(meta.finalizers, kForeground) == foreground) return false;
  meta.finalizers.eraseIf([](const codec::String& f) { return f == kOrphan || f == kForeground; });
  if (orphan) meta.finalizers.push_back(kOrphan);
  if (foreground) meta.finalizers.push_back(kForeground);
  return true;
}

enum class Graceful { kNo, kNow, kPending };

}  // namespace

struct Registry::DeleteCall {
  Context context;
  std::string name;
  DeleteOptions options;
  std::function<Status(const api::Object&)> admit;
  DeleteCallback done;
};

Status Registry::checkPreconditions(const DeleteOptions& options, const api::Object& o) const {
  const auto& meta = o.meta();
  GroupResource kind{resource().group, resource().kind};
  if (options.uid && meta.uid != *options.uid) {
    return errors::conflict(kind, meta.name,
                            fmt::format("the UID in the precondition ({}) does not match the UID in record ({}). The object might have been "
                                        "deleted and then recreated",
                                        *options.uid, meta.uid));
  }
  if (options.resourceVersion && meta.resourceVersion != *options.resourceVersion) {
    return errors::conflict(kind, meta.name,
                            fmt::format("the ResourceVersion in the precondition ({}) does not match the ResourceVersion in record ({}). The "
                                        "object might have been modified",
                                        *options.resourceVersion, meta.resourceVersion));
  }
  return {};
}

void Registry::remove(const Context& c, std::string name, DeleteOptions options, std::function<Status(const api::Object&)> admit,
                      DeleteCallback done) {
  auto call = std::make_shared<DeleteCall>(DeleteCall{c, std::move(name), std::move(options), std::move(admit), std::move(done)});
  get(c.ns, call->name, [this, call](Result<api::ObjectPtr> r) {
    if (!r.ok()) return call->done(r.status());
    attemptDelete(call, *r);
  });
}

// BeforeDelete: marks `o` if its deletion is graceful, and settles options.gracePeriodSeconds.
static Graceful markGraceful(const Strategy& strategy, const Context& c, api::Object& o, DeleteOptions& options) {
  auto& meta = o.meta();
  std::optional<int64_t> grace = options.gracePeriodSeconds;
  bool supported = strategy.checkGracefulDelete(c, o, grace);
  if (meta.deletionTimestamp) {
    if (!meta.deletionGracePeriodSeconds) return Graceful::kNo;
    // Only a shorter period can still be asked for.
    if (options.gracePeriodSeconds) {
      int64_t period = *options.gracePeriodSeconds;
      if (period >= *meta.deletionGracePeriodSeconds) return Graceful::kPending;
      meta.deletionTimestamp = codec::Time(meta.deletionTimestamp->seconds - *meta.deletionGracePeriodSeconds + period);
      meta.deletionGracePeriodSeconds = period;
      return Graceful::kNow;
    }
    options.gracePeriodSeconds = meta.deletionGracePeriodSeconds;
    return Graceful::kPending;
  }
  if (!supported) return Graceful::kNo;
  options.gracePeriodSeconds = grace.value_or(0);
  meta.deletionTimestamp = codec::Time(c.now.seconds + *options.gracePeriodSeconds);
  meta.deletionGracePeriodSeconds = options.gracePeriodSeconds;
  if (meta.generation > 0) meta.generation++;
  return Graceful::kNow;
}

void Registry::attemptDelete(std::shared_ptr<DeleteCall> call, api::ObjectPtr existing) {
  const Context& c = call->context;
  if (!existing) return call->done(errors::notFound(groupResource(), call->name));
  if (Status s = checkPreconditions(call->options, *existing); !s.ok()) return call->done(std::move(s));
  if (call->admit) {
    if (Status s = call->admit(*existing); !s.ok()) return call->done(std::move(s));
  }
  api::MutableObject o = existing->clone();
  auto& meta = o->meta();
  DeleteOptions options = call->options;
  Graceful graceful = markGraceful(strategy_, c, *o, options);
  if (graceful == Graceful::kPending) return call->done(Deleted{existing, false});
  bool changed = setGcFinalizers(meta, options, strategy_.defaultGarbageCollection());
  bool pending = !meta.finalizers.empty();
  bool supported = graceful == Graceful::kNow;
  if (!pending && !supported) return erase(call, existing, false);
  if (!pending && options.gracePeriodSeconds.value_or(0) <= 0) return erase(call, existing, true);
  if (!supported && pending) {
    // Marked; whoever holds a finalizer ends it.
    if (!meta.deletionTimestamp) {
      meta.deletionTimestamp = codec::Time(c.now);
      if (meta.generation > 0) meta.generation++;
      changed = true;
    }
    if (meta.deletionGracePeriodSeconds.value_or(-1) != 0) {
      meta.deletionGracePeriodSeconds = 0;
      changed = true;
    }
    if (!changed) return call->done(Deleted{existing, false});
  }
  if (c.dryRun) return call->done(Deleted{std::move(o), false});
  store::Txn txn = store::Txn::update(cache_.storeKey(existing->ns(), call->name), existing->resourceVersion(), encode(*o));
  meta.resourceVersion.clear();
  txn.attachment = o;
  commit(std::move(txn), [this, call, o](Result<store::TxnResult> r) mutable {
    if (!r.ok()) return call->done(r.status());
    if (!r->succeeded) {
      return retry([this, call](api::ObjectPtr now) { attemptDelete(call, std::move(now)); }, r->kv,
                   [call](Status s) { call->done(std::move(s)); });
    }
    if (o->meta().resourceVersion.empty()) o->meta().resourceVersion = std::to_string(r->revision);
    call->done(Deleted{std::move(o), false});
  });
}

void Registry::erase(std::shared_ptr<DeleteCall> call, api::ObjectPtr last, bool ignoreNotFound) {
  if (call->context.dryRun) return call->done(Deleted{std::move(last), true});
  store::Txn txn = store::Txn::erase(cache_.storeKey(last->ns(), call->name), last->resourceVersion());
  commit(std::move(txn), [this, call, last, ignoreNotFound](Result<store::TxnResult> r) {
    if (!r.ok()) return call->done(r.status());
    if (!r->succeeded) {
      if (!r->kv && ignoreNotFound) return call->done(Deleted{last, true});
      return retry([this, call](api::ObjectPtr now) { attemptDelete(call, std::move(now)); }, r->kv,
                   [call](Status s) { call->done(std::move(s)); });
    }
    if (hooks_.deleted) hooks_.deleted(*last);
    call->done(Deleted{cache::withRevision(*last, r->revision), true});
  });
}

}  // namespace km::registry
