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

// Whether the object's deletion must leave / first delete its dependents: by the options, else by finalizers
// that are there, else by the resource's default.
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

bool shouldWaitForDependents(const api::meta_v1::ObjectMeta& meta, const DeleteOptions& o,
                             GarbageCollection byDefault) {
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
  if (has(meta.finalizers, kOrphan) == orphan && has(meta.finalizers, kForeground) == foreground)
    return false;
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
  Admit admit;
  DeleteCallback done;
};

Status Registry::checkPreconditions(const DeleteOptions& options, const api::Object& o) const {
  const auto& meta = o.meta();
  GroupResource kind{resource().group, resource().kind};
  if (options.uid && meta.uid != *options.uid) {
    return errors::conflict(kind, meta.name,
                            fmt::format("the UID in the precondition ({}) does not match the UID in record "
                                        "({}). The object might have been "
                                        "deleted and then recreated",
                                        *options.uid, meta.uid));
  }
  if (options.resourceVersion && meta.resourceVersion != *options.resourceVersion) {
    return errors::conflict(kind, meta.name,
                            fmt::format("the ResourceVersion in the precondition ({}) does not match the "
                                        "ResourceVersion in record ({}). The "
                                        "object might have been modified",
                                        *options.resourceVersion, meta.resourceVersion));
  }
  return {};
}

void Registry::remove(const Context& c, std::string name, DeleteOptions options, Admit admit, DeleteCallback done) {
  auto call = std::make_shared<DeleteCall>(
      DeleteCall{c, std::move(name), std::move(options), std::move(admit), std::move(done)});
  get(c.ns, call->name, [this, call](Result<api::ObjectPtr> r) {
    if (!r.ok()) return call->done(r.status());
    attemptDelete(call, *r);
  });
}

// BeforeDelete: marks `o` if its deletion is graceful, and settles options.gracePeriodSeconds.
static Graceful markGraceful(const Strategy& strategy, const Context& c, api::Object& o,
                             DeleteOptions& options) {
  auto& meta = o.meta();
  // As if a second had been asked for.
  if (options.gracePeriodSeconds && *options.gracePeriodSeconds < 0) options.gracePeriodSeconds = 1;
  if (meta.deletionTimestamp) {
    if (meta.deletionGracePeriodSeconds.value_or(0) == 0) return Graceful::kNo;
    // Only a shorter period can still be asked for.
    if (options.gracePeriodSeconds && *options.gracePeriodSeconds < *meta.deletionGracePeriodSeconds) {
      int64_t period = *options.gracePeriodSeconds;
      codec::Time when(meta.deletionTimestamp->seconds - *meta.deletionGracePeriodSeconds + period);
      if (when.seconds < c.now.seconds) {
        when = codec::Time(c.now);
        // Whoever ends the object has a second left to do it.
        if (period != 0) period = 1;
      }
      meta.deletionTimestamp = when;
      meta.deletionGracePeriodSeconds = period;
      options.gracePeriodSeconds = period;
      return Graceful::kNow;
    }
    return Graceful::kPending;
  }
  std::optional<int64_t> grace = options.gracePeriodSeconds;
  bool supported = strategy.checkGracefulDelete(c, o, grace);
  if (!supported) return Graceful::kNo;
  options.gracePeriodSeconds = grace.value_or(0);
  meta.deletionTimestamp = codec::Time(c.now.seconds + *options.gracePeriodSeconds);
  meta.deletionGracePeriodSeconds = options.gracePeriodSeconds;
  if (meta.generation > 0) meta.generation++;
  return Graceful::kNow;
}

void Registry::attemptDelete(std::shared_ptr<DeleteCall> call, api::ObjectPtr existing) {
  const Context& c = call->context;
  if (!existing) return call->done(errors::notFound(groupResource(c), call->name));
  if (strategy_.holdsDeletions() && !(existing->meta().deletionTimestamp && strategy_.mayEnd(*existing)))
    return hold(call, existing);
  if (Status s = checkPreconditions(call->options, *existing); !s.ok()) return call->done(std::move(s));
  if (!call->admit) return markOrErase(std::move(call), std::move(existing));
  call->admit(nullptr, existing, [this, call, existing](Status s) {
    s.ok() ? markOrErase(call, existing) : call->done(std::move(s));
  });
}

void Registry::markOrErase(std::shared_ptr<DeleteCall> call, api::ObjectPtr existing) {
  const Context& c = call->context;
  api::MutableObject o = existing->clone();
  auto& meta = o->meta();
  DeleteOptions options = call->options;
  Graceful graceful = markGraceful(strategy_, c, *o, options);
  if (graceful == Graceful::kPending) return call->done(Deleted{existing, false});
  bool changed = setGcFinalizers(meta, options, strategy_.defaultGarbageCollection());
  bool pending = !meta.finalizers.empty();
  bool supported = graceful == Graceful::kNow;
  if (!pending && !supported) return erase(call, existing, false);
  if (!supported) {
    // Marked; whoever holds a finalizer ends it.
    if (!meta.deletionTimestamp && meta.generation > 0) meta.generation++;
    if (!meta.deletionTimestamp || meta.deletionTimestamp->seconds > c.now.seconds) {
      meta.deletionTimestamp = codec::Time(c.now);
      changed = true;
    }
    if (meta.deletionGracePeriodSeconds.value_or(-1) != 0) {
      meta.deletionGracePeriodSeconds = 0;
      changed = true;
    }
    if (!changed) return call->done(Deleted{existing, false});
  }
  // Without a period to wait for, the mark is only the object's last version.
  mark(call, std::move(o), *existing, !pending && options.gracePeriodSeconds.value_or(0) <= 0);
}

void Registry::mark(std::shared_ptr<DeleteCall> call, api::MutableObject o, const api::Object& existing,
                    bool thenErase) {
  if (call->context.dryRun) return call->done(Deleted{std::move(o), thenErase});
  store::Txn txn =
      store::Txn::update(cache_.storeKey(existing.ns(), call->name), existing.resourceVersion(), encode(*o));
  o->meta().resourceVersion.clear();
  txn.attachment = o;
  commit(std::move(txn), [this, call, o, thenErase](Result<store::TxnResult> r) mutable {
    if (!r.ok()) return call->done(r.status());
    if (!r->succeeded) {
      return retry([this, call](api::ObjectPtr now) { attemptDelete(call, std::move(now)); }, r->kv,
                   [call](Status s) { call->done(std::move(s)); });
    }
    if (o->meta().resourceVersion.empty()) o->meta().resourceVersion = std::to_string(r->revision);
    // The precondition held for the version before the mark.
    call->options.resourceVersion.reset();
    if (thenErase) return erase(call, std::move(o), true);
    call->done(Deleted{std::move(o), false});
  });
}

// Namespaces: the first deletion marks them, and until their content is gone others change nothing.
void Registry::hold(std::shared_ptr<DeleteCall> call, api::ObjectPtr existing) {
  const Context& c = call->context;
  const auto& was = existing->meta();
  auto failed = [&](std::string_view what, std::string_view wanted, std::string_view is) {
    call->done(
        errors::conflict(groupResource(c), call->name,
                         fmt::format("Precondition failed: {} in precondition: {}, {} in object meta: {}",
                                     what, wanted, what, is)));
  };
  if (call->options.uid && was.uid != *call->options.uid) return failed("UID", *call->options.uid, was.uid);
  if (call->options.resourceVersion && was.resourceVersion != *call->options.resourceVersion) {
    return failed("ResourceVersion", *call->options.resourceVersion, was.resourceVersion);
  }
  if (was.deletionTimestamp) return call->done(Deleted{existing, false});
  if (!call->admit) return markHeld(call, existing);
  call->admit(nullptr, existing, [this, call, existing](Status s) {
    s.ok() ? markHeld(call, existing) : call->done(std::move(s));
  });
}

void Registry::markHeld(std::shared_ptr<DeleteCall> call, const api::ObjectPtr& existing) {
  api::MutableObject o = existing->clone();
  o->meta().deletionTimestamp = codec::Time(call->context.now);
  strategy_.markHeld(*o);
  DeleteOptions options = call->options;
  if (options.orphanDependents)
    options.propagationPolicy = *options.orphanDependents ? "Orphan" : "Foreground";
  options.orphanDependents.reset();
  setGcFinalizers(o->meta(), options, strategy_.defaultGarbageCollection());
  mark(call, std::move(o), *existing, false);
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
    freed(*last, nullptr, [call, last, revision = r->revision] {
      call->done(Deleted{cache::withRevision(*last, revision), true});
    });
  });
}

}  // namespace km::registry
