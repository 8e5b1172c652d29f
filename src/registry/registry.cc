#include "registry/registry.h"

#include <fmt/format.h>

#include "api/types/meta_v1.h"
#include "codec/ops.h"
#include "codec/proto.h"
#include "registry/metadata.h"

namespace km::registry {
namespace {

constexpr char kModified[] =
    "the object has been modified; please apply your changes to the latest version and try again";
constexpr int kMaxGeneratedNames = 8;  // upstream's attempts to find a generated name that is free

Status checkNamespace(const Context& c, bool namespaced, api::meta_v1::ObjectMeta& meta) {
  std::string_view wanted = namespaced ? std::string_view(c.ns) : std::string_view();
  if (meta.namespace_.empty()) {
    meta.namespace_ = wanted;
  } else if (meta.namespace_ != wanted) {
    return errors::badRequest("the namespace of the provided object does not match the namespace sent on the request");
  }
  return {};
}

}  // namespace

Registry::Registry(store::Store& store, cache::ResourceCache& cache, const Strategy& strategy, Clock& clock,
                   std::function<void(std::function<void()>)> offload)
    : store_(store), cache_(cache), strategy_(strategy), clock_(clock), offload_(std::move(offload)) {}

class Registry::Taken {
 public:
  explicit Taken(std::function<void(bool)> finish) : finish_(std::move(finish)) {}
  ~Taken() {
    if (finish_) finish_(false);
  }
  void stored() {
    if (finish_) std::exchange(finish_, nullptr)(true);
  }

 private:
  std::function<void(bool)> finish_;
};

Result<std::shared_ptr<Registry::Taken>> Registry::take(api::Object& o, const api::Object* old) const {
  if (!hooks_.begin) return std::shared_ptr<Taken>();
  KM_ASSIGN(auto finish, hooks_.begin(o, old));
  return std::make_shared<Taken>(std::move(finish));
}

store::Bytes Registry::encode(api::Object& o) const {
  // Stored objects carry no resourceVersion: it is the revision of their key.
  codec::String version;
  std::swap(version, o.meta().resourceVersion);
  auto bytes = std::make_shared<std::string>();
  codec::encodeEnveloped(*bytes, o.data(), o.type(), o.apiVersion());
  std::swap(version, o.meta().resourceVersion);
  return bytes;
}

Result<api::ObjectPtr> Registry::current(const std::optional<store::KeyValue>& kv) const {
  if (!kv) return api::ObjectPtr();
  KM_ASSIGN(api::MutableObject o, cache_.decode(*kv));
  strategy_.setDefaults(*o);
  return api::ObjectPtr(std::move(o));
}

void Registry::retry(std::function<void(api::ObjectPtr)> again, const std::optional<store::KeyValue>& kv,
                     std::function<void(Status)> failed) {
  offload_([this, again = std::move(again), kv, failed = std::move(failed)] {
    auto now = current(kv);
    if (!now.ok()) return failed(now.status());
    again(*now);
  });
}

// Gives events their lease first.
void Registry::commit(store::Txn txn, store::Store::Callback<store::TxnResult> done) {
  if (ttlSeconds_ == 0 || txn.op == store::Txn::Op::kDelete) return store_.commit(std::move(txn), std::move(done));
  store_.leaseGrant(ttlSeconds_, [this, txn = std::move(txn), done = std::move(done)](Result<store::LeaseId> lease) mutable {
    if (!lease.ok()) return done(lease.status());
    txn.lease = *lease;
    store_.commit(std::move(txn), std::move(done));
  });
}

// --- get ----------------------------------------------------------------------------------------------

void Registry::get(std::string_view ns, std::string_view name, ObjectCallback done) {
  cache_.whenFresh([this, ns = std::string(ns), name = std::string(name), done = std::move(done)](Status s) {
    if (!s.ok()) return done(std::move(s));
    api::ObjectPtr o = cache_.get(ns, name);
    if (!o) return done(errors::notFound(groupResource(), name));
    done(std::move(o));
  });
}

// --- create -------------------------------------------------------------------------------------------

Status Registry::prepareCreate(const Context& c, api::Object& o) const {
  const api::Resource& r = resource();
  auto& meta = o.meta();
  KM_TRY(checkNamespace(c, r.namespaced, meta));
  strategy_.prepareForCreate(c, o);
  api::FieldErrors bad;
  validateMeta(meta, r.namespaced, [this](auto name, bool prefix) { return strategy_.validateName(name, prefix); },
               api::Path("metadata"), bad);
  strategy_.validateCreate(c, o, bad);
  KM_TRY(bad.toStatus(r.group, r.kind, meta.name));
  strategy_.warnings(c, o, nullptr);
  strategy_.canonicalize(o);
  return {};
}

void Registry::create(const Context& c, api::MutableObject o, Admit admit, ObjectCallback done) {
  if (!o->meta().resourceVersion.empty() && o->meta().resourceVersion != "0") {
    return done(errors::internal("resourceVersion should not be set on objects to be created"));
  }
  o->meta().resourceVersion.clear();
  fillSystemFields(o->meta(), c.now);
  auto taken = take(*o, nullptr);
  if (!taken.ok()) return done(taken.status());
  if (Status s = prepareCreate(c, *o); !s.ok()) return done(std::move(s));
  if (admit) {
    if (Status s = admit(*o, nullptr); !s.ok()) return done(std::move(s));
  }
  commitCreate(c, std::move(o), std::move(*taken), std::move(done), 1);
}

void Registry::commitCreate(const Context& c, api::MutableObject o, std::shared_ptr<Taken> taken, ObjectCallback done, int attempts) {
  std::string name = o->meta().name.str();
  std::string key = cache_.storeKey(o->ns(), name);
  if (c.dryRun) {
    if (cache_.get(o->ns(), name)) return done(errors::alreadyExists(groupResource(), name));
    return done(api::ObjectPtr(std::move(o)));
  }
  store::Txn txn = store::Txn::create(std::move(key), encode(*o));
  txn.attachment = o;
  commit(std::move(txn), [this, c, o, taken, name, attempts, done = std::move(done)](Result<store::TxnResult> r) mutable {
    if (!r.ok()) return done(r.status());
    if (r->succeeded) {
      if (taken) taken->stored();
      if (o->meta().resourceVersion.empty()) o->meta().resourceVersion = std::to_string(r->revision);
      return done(api::ObjectPtr(std::move(o)));
    }
    if (o->meta().generateName.empty()) return done(errors::alreadyExists(groupResource(), name));
    if (attempts >= kMaxGeneratedNames) {
      Status s = errors::alreadyExists(groupResource(), name);
      StatusDetails d = *s.details();
      d.retryAfterSeconds = 1;
      return done(Status(409, "AlreadyExists",
                         fmt::format("{} \"{}\" already exists, the server was not able to generate a unique name for the object",
                                     groupResource().str(), name), d));
    }
    // The name was ours to choose: another one.
    offload_([this, c, o, taken, attempts, done = std::move(done)]() mutable {
      api::MutableObject again = o->clone();
      again->meta().name = generateName(again->meta().generateName);
      commitCreate(c, std::move(again), taken, std::move(done), attempts + 1);
    });
  });
}

// --- update -------------------------------------------------------------------------------------------

struct Registry::UpdateCall {
  Context context;
  std::string name;
  MakeObject make;
  Admit admit;
  bool allowCreate;
  UpdateCallback done;
};

Status Registry::prepareUpdate(const Context& c, api::Object& o, const api::Object& old) const {
  if (c.raw) return {};
  const api::Resource& r = resource();
  auto& meta = o.meta();
  const auto& oldMeta = old.meta();
  KM_TRY(checkNamespace(c, r.namespaced, meta));
  meta.generation = oldMeta.generation;
  strategy_.prepareForUpdate(c, o, old);
  if (meta.uid.empty()) meta.uid = oldMeta.uid;
  if (!oldMeta.creationTimestamp.isZero()) meta.creationTimestamp = oldMeta.creationTimestamp;
  if (oldMeta.deletionTimestamp) meta.deletionTimestamp = oldMeta.deletionTimestamp;
  if (oldMeta.deletionGracePeriodSeconds && !meta.deletionGracePeriodSeconds) {
    meta.deletionGracePeriodSeconds = oldMeta.deletionGracePeriodSeconds;
  }
  api::FieldErrors bad;
  api::Path path("metadata");
  validateMeta(meta, r.namespaced, [](auto name, bool) { return api::isValidPathSegmentName(name); }, path, bad);
  validateMetaUpdate(meta, oldMeta, path, bad);
  for (char check : strategy_.repeatedMetaChecks(c.subresource)) {
    if (check == 'U') {
      validateMetaUpdate(meta, oldMeta, path, bad);
    } else {
      validateMeta(meta, r.namespaced, [this](auto name, bool prefix) { return strategy_.validateName(name, prefix); }, path, bad);
    }
  }
  if (c.subresource == "status") {
    strategy_.validateStatusUpdate(c, o, old, bad);
  } else {
    strategy_.validateUpdate(c, o, old, bad);
  }
  KM_TRY(bad.toStatus(r.group, r.kind, meta.name));
  strategy_.warnings(c, o, &old);
  strategy_.canonicalize(o);
  return {};
}

void Registry::update(const Context& c, std::string name, MakeObject make, Admit admit, bool allowCreate, UpdateCallback done) {
  auto call = std::make_shared<UpdateCall>(UpdateCall{c, std::move(name), std::move(make), std::move(admit), allowCreate, std::move(done)});
  // The cached version is nearly always the newest; where it is not, the guard of the write says so.
  attemptUpdate(call, cache_.get(c.ns, call->name));
}

void Registry::attemptUpdate(std::shared_ptr<UpdateCall> call, api::ObjectPtr existing) {
  const Context& c = call->context;
  bool creatable = call->allowCreate || strategy_.allowCreateOnUpdate();
  if (!existing && !creatable) {
    // The cache may lag behind an acknowledged create: ask again once it cannot.
    return get(c.ns, call->name, [this, call](Result<api::ObjectPtr> r) {
      if (!r.ok()) return call->done(r.status());
      offload_([this, call, o = *r] { attemptUpdate(call, o); });
    });
  }
  auto made = call->make(existing);
  if (!made.ok()) return call->done(made.status());
  api::MutableObject o = std::move(*made);
  if (!existing) {
    return create(c, std::move(o), call->admit, [call](Result<api::ObjectPtr> r) {
      if (!r.ok()) return call->done(r.status());
      call->done(UpdateResult{*r, true});
    });
  }
  auto& meta = o->meta();
  const auto& oldMeta = existing->meta();
  // The uid of the request is a precondition.
  if (!meta.uid.empty() && meta.uid != oldMeta.uid) {
    return call->done(errors::conflict(groupResource(), call->name,
                                       fmt::format("Precondition failed: UID in precondition: {}, UID in object meta: {}", meta.uid, oldMeta.uid)));
  }
  bool unconditional = meta.resourceVersion.empty() || meta.resourceVersion == "0";
  if (unconditional && !strategy_.allowUnconditionalUpdate()) {
    api::FieldErrors bad;
    bad.invalid(api::Path("metadata.resourceVersion"), 0, "must be specified for an update");
    return call->done(bad.toStatus(resource().group, resource().name, call->name));
  }
  if (!unconditional && meta.resourceVersion != oldMeta.resourceVersion) {
    // The cache may be the one that is behind.
    auto conflict = [this, call] { call->done(errors::conflict(groupResource(), call->name, kModified)); };
    return get(c.ns, call->name, [this, call, existing, conflict](Result<api::ObjectPtr> r) {
      if (!r.ok()) return call->done(r.status());
      if ((*r)->resourceVersion() == existing->resourceVersion()) return conflict();
      offload_([this, call, o = *r] { attemptUpdate(call, o); });
    });
  }
  meta.resourceVersion = oldMeta.resourceVersion;
  auto taken = take(*o, existing.get());
  if (!taken.ok()) return call->done(taken.status());
  if (Status s = prepareUpdate(c, *o, *existing); !s.ok()) return call->done(std::move(s));
  if (call->admit) {
    if (Status s = call->admit(*o, existing.get()); !s.ok()) return call->done(std::move(s));
  }
  // The last finalizer of a marked object went: so does the object.
  bool emptied = oldMeta.deletionTimestamp && meta.finalizers.empty() && oldMeta.deletionGracePeriodSeconds.value_or(0) == 0;
  // What is stored decides: a quantity may be written otherwise and mean the same.
  bool same = codec::equal(o->data(), existing->data(), o->type()) && *encode(*o) == *encode(*existing->clone());
  if (c.dryRun || (same && !emptied)) {
    // Nothing changed: nothing is written.
    return call->done(UpdateResult{c.dryRun ? api::ObjectPtr(std::move(o)) : existing, false});
  }
  std::string key = cache_.storeKey(existing->ns(), call->name);
  store::Txn txn = emptied ? store::Txn::erase(std::move(key), existing->resourceVersion())
                           : store::Txn::update(std::move(key), existing->resourceVersion(), encode(*o));
  if (!emptied) {
    meta.resourceVersion.clear();
    txn.attachment = o;
  }
  commit(std::move(txn), [this, call, o, emptied, existing, taken = *taken](Result<store::TxnResult> r) mutable {
    if (!r.ok()) return call->done(r.status());
    if (!r->succeeded) {
      taken.reset();
      return retry([this, call](api::ObjectPtr now) { attemptUpdate(call, std::move(now)); }, r->kv,
                   [call](Status s) { call->done(std::move(s)); });
    }
    if (taken) taken->stored();
    if (emptied && hooks_.deleted) hooks_.deleted(*existing);
    if (emptied || o->meta().resourceVersion.empty()) o->meta().resourceVersion = std::to_string(r->revision);
    call->done(UpdateResult{std::move(o), false});
  });
}

}  // namespace km::registry
