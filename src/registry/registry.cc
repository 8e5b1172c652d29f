#include "registry/registry.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "api/types/meta_v1.h"
#include "codec/ops.h"
#include "codec/proto.h"
#include "object/managed_fields.h"
#include "registry/metadata.h"

namespace km::registry {
namespace {

constexpr char kModified[] =
    "the object has been modified; please apply your changes to the latest version and try again";
constexpr int kMaxClaims = 16;         // attempts to take what no other server has
constexpr int kMaxGeneratedNames = 8;  // upstream's attempts to find a generated name that is free
// etcd's limit of a request; part of it is the request's own framing.
constexpr size_t kMaxStoredBytes = 1536 * 1024 - 512;

Status checkNameParameter(std::string_view name) {
  if (name.empty()) return errors::badRequest("Name parameter required.");
  api::Messages wrong = api::isValidPathSegmentName(name);
  if (wrong.empty()) return {};
  return errors::badRequest(
      fmt::format("Name parameter invalid: {}: {}", api::goQuote(name), fmt::join(wrong, ";")));
}

// As upstream parses it; nothing is no version.
Status checkVersion(std::string_view version) {
  if (std::all_of(version.begin(), version.end(), [](char c) { return c >= '0' && c <= '9'; }) &&
      version.size() <= 20)
    return {};
  return {500, "", fmt::format("strconv.ParseUint: parsing {}: invalid syntax", api::goQuote(version))};
}

api::Messages anySegment(std::string_view name, bool) {
  return api::isValidPathSegmentName(name);
}

// The kind's rule for names. An APIService is named for its version and group, and that of the core group
// ends with the dot.
NameCheck nameRule(const api::Resource& r, const Strategy& strategy) {
  if (r.group == "apiregistration.k8s.io") return anySegment;
  return [&strategy](std::string_view name, bool prefix) { return strategy.validateName(name, prefix); };
}

Status checkNamespace(const Context& c, bool namespaced, api::meta_v1::ObjectMeta& meta) {
  std::string_view wanted = namespaced ? std::string_view(c.ns) : std::string_view();
  if (meta.namespace_.empty()) {
    meta.namespace_ = wanted;
  } else if (meta.namespace_ != wanted) {
    return errors::badRequest(
        "the namespace of the provided object does not match the namespace sent on the request");
  }
  return {};
}

}  // namespace

Registry::Registry(store::Store& store, cache::ResourceCache& cache, const Strategy& strategy, Clock& clock,
                   std::function<void(std::function<void()>)> offload)
    : store_(store), cache_(cache), strategy_(strategy), clock_(clock), offload_(std::move(offload)) {}

const Strategy& Registry::strategyOf(std::string_view subresource) const {
  auto it = subresources_.find(subresource);
  return it == subresources_.end() ? strategy_ : *it->second;
}

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
  std::string bytes;
  codec::encodeEnveloped(bytes, o.data(), o.type(), o.apiVersion());
  std::swap(version, o.meta().resourceVersion);
  return std::make_shared<const std::string>(std::move(bytes));
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

void Registry::freed(const api::Object& before, const api::Object* now, Hooks::Next next) {
  hooks_.freed ? hooks_.freed(before, now, std::move(next)) : next();
}

// Gives events their lease first.
void Registry::commit(store::Txn txn, store::Store::Callback<store::TxnResult> done) {
  if (txn.op == store::Txn::Op::kPut && txn.value->size() + txn.key.size() > kMaxStoredBytes) {
    return done(Status(500, "", "etcdserver: request is too large"));
  }
  if (ttlSeconds_ == 0 || txn.op == store::Txn::Op::kDelete)
    return store_.commit(std::move(txn), std::move(done));
  store_.leaseForKey(ttlSeconds_, [this, txn = std::move(txn),
                                  done = std::move(done)](Result<store::LeaseId> lease) mutable {
    if (!lease.ok()) return done(lease.status());
    txn.lease = *lease;
    store_.commit(std::move(txn), std::move(done));
  });
}

// --- get ----------------------------------------------------------------------------------------------

void Registry::get(std::string_view ns, std::string_view name, ObjectCallback done) {
  if (Status s = checkNameParameter(name); !s.ok()) return done(std::move(s));
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
  const MetaLooks& looks = strategy_.metaLooks();
  api::Path path("metadata");
  api::FieldErrors bad;
  if (looks.onCreate) {
    validateMeta(meta, r.namespaced, nameRule(r, strategy_), path, bad);
    if (looks.finalizerNames) validateFinalizerNames(meta, path, bad);
  }
  strategy_.validateCreate(c, o, bad);
  // What the kind has not looked at itself.
  if (!looks.onCreate && bad.empty()) validateMeta(meta, r.namespaced, anySegment, path, bad);
  KM_TRY(bad.toStatus(r.group, r.kind, meta.name));
  strategy_.warnings(c, o, nullptr);
  strategy_.canonicalize(o);
  return {};
}

struct Registry::CreateCall {
  Context context;
  api::MutableObject object;
  bool generated;  // the name is ours, so another one will do
  Admit admit;
  ObjectCallback done;
  api::ObjectPtr untaken;  // before anything was taken for it, where something may be
  std::shared_ptr<Taken> taken;
  int attempts = 1;
  int claims = 1;
};

void Registry::create(const Context& c, api::MutableObject o, Admit admit, ObjectCallback done) {
  auto& meta = o->meta();
  if (Status s = checkVersion(meta.resourceVersion); !s.ok()) return done(std::move(s));
  if (!meta.resourceVersion.empty() && meta.resourceVersion != "0") {
    return done(Status(500, "", "resourceVersion should not be set on objects to be created"));
  }
  meta.resourceVersion.clear();
  bool generated = meta.name.empty() && !meta.generateName.empty();
  fillSystemFields(meta, c.now);
  if (generated) meta.name = strategy_.generateName(meta.generateName);
  createOnce(std::make_shared<CreateCall>(
      CreateCall{c, std::move(o), generated, std::move(admit), std::move(done), nullptr, nullptr}));
}

void Registry::createOnce(std::shared_ptr<CreateCall> call) {
  api::Object& o = *call->object;
  if (hooks_.claim) call->untaken = call->object->clone();
  auto taken = take(o, nullptr);
  if (!taken.ok()) return call->done(taken.status());
  call->taken = std::move(*taken);
  if (Status s = prepareCreate(call->context, o); !s.ok()) return call->done(std::move(s));
  if (!call->admit) return commitCreate(std::move(call));
  call->admit(call->object, nullptr,
              [this, call](Status s) { s.ok() ? commitCreate(call) : call->done(std::move(s)); });
}

// Why a create failed on what is there under its name.
Status Registry::createConflict(const CreateCall& call, const std::optional<store::KeyValue>& kv) const {
  const auto& meta = call.object->meta();
  Status s = errors::alreadyExists(groupResource(call.context), meta.name);
  if (!meta.generateName.empty()) {
    StatusDetails d = *s.details();
    d.retryAfterSeconds = 1;
    s = Status(409, "AlreadyExists",
               s.message() + ", the server was not able to generate a unique name for the object",
               std::move(d));
  }
  auto existing = current(kv);
  if (!existing.ok() || !*existing || !(*existing)->meta().deletionTimestamp) return s;
  return {s.code(), s.reason(), "object is being deleted: " + s.message(), *s.details()};
}

void Registry::commitCreate(std::shared_ptr<CreateCall> call) {
  api::MutableObject o = call->object;
  if (call->context.dryRun) {
    return get(o->ns(), o->meta().name, [this, call](Result<api::ObjectPtr> r) {
      if (!r.ok())
        return call->done(r.status().is("NotFound") ? Result<api::ObjectPtr>(api::ObjectPtr(call->object))
                                                    : r.status());
      auto kv = std::make_optional<store::KeyValue>();
      kv->modRevision = (*r)->resourceVersion();
      kv->value = encode(*(*r)->clone());
      call->done(createConflict(*call, kv));
    });
  }
  if (!hooks_.claim) return writeCreate(std::move(call));
  hooks_.claim(*o, nullptr, [this, call](Status s) {
    if (s.ok()) return writeCreate(call);
    if (!s.is(kTakenElsewhere) || call->claims++ >= kMaxClaims) return call->done(std::move(s));
    offload_([this, call] {
      call->taken.reset();
      call->object = call->untaken->clone();
      createOnce(call);
    });
  });
}

void Registry::writeCreate(std::shared_ptr<CreateCall> call) {
  api::MutableObject o = call->object;
  store::Txn txn = store::Txn::create(cache_.storeKey(o->ns(), o->name()), encode(*o));
  txn.attachment = o;
  commit(std::move(txn), [this, call, o](Result<store::TxnResult> r) mutable {
    // Whether it was stored may be unknown: then what was claimed stays so until the next start.
    if (!r.ok()) return call->done(r.status());
    if (r->succeeded) {
      if (call->taken) call->taken->stored();
      if (o->meta().resourceVersion.empty()) o->meta().resourceVersion = std::to_string(r->revision);
      return call->done(api::ObjectPtr(std::move(o)));
    }
    auto taken = [this, call, o, kv = r->kv] {
      if (!call->generated || call->attempts++ >= kMaxGeneratedNames) {
        call->taken.reset();
        return call->done(createConflict(*call, kv));
      }
      offload_([this, call] {
        call->object = call->object->clone();
        call->object->meta().name = strategy_.generateName(call->object->meta().generateName);
        commitCreate(call);
      });
    };
    hooks_.unclaim ? hooks_.unclaim(*o, nullptr, std::move(taken)) : taken();
  });
}

// --- update -------------------------------------------------------------------------------------------

MakeObject makeAtOnce(std::function<Result<api::MutableObject>(const api::ObjectPtr& existing)> make) {
  return [make = std::move(make)](const api::ObjectPtr& existing, std::function<void(Result<api::MutableObject>)> done) {
    done(make(existing));
  };
}

struct Registry::UpdateCall {
  Context context;
  std::string name;
  MakeObject make;
  Admit admit;
  bool allowCreate;
  UpdateCallback done;
  int claims = 1;
};

// Upstream looks at metadata up to four times: against the object and the old one before the kind's own
// rules, and these do so again. Whatever is wrong is a cause each time.
void Registry::checkMetaUpdate(const Context& c, const api::Object& o, const api::Object& old,
                               api::FieldErrors& bad) const {
  const api::Resource& r = resource();
  const auto& meta = o.meta();
  api::Path path("metadata");
  validateMeta(meta, r.namespaced, anySegment, path, bad);
  validateMetaUpdate(meta, old.meta(), path, bad);
  // Nothing found once is nothing found twice, but for what only the kind looks at.
  bool clean = bad.empty();
  NameCheck name = nameRule(r, strategy_);
  for (char check : strategy_.repeatedMetaChecks(c.subresource)) {
    if (check == 'U') {
      if (!clean) validateMetaUpdate(meta, old.meta(), path, bad);
    } else if (!clean) {
      validateMeta(meta, r.namespaced, name, path, bad);
    } else {
      if (!meta.generateName.empty())
        bad.each(path.child("generateName"), meta.generateName.view(), name(meta.generateName, true));
      bad.each(path.child("name"), meta.name.view(), name(meta.name, false));
    }
    if (strategy_.metaLooks().finalizerNames) validateFinalizerNames(meta, path, bad);
  }
}

Status Registry::prepareUpdate(const Context& c, api::Object& o, const api::Object& old) const {
  if (c.raw) return {};
  const api::Resource& r = resource();
  const Strategy& strategy = strategyOf(c.subresource);
  auto& meta = o.meta();
  const auto& oldMeta = old.meta();
  KM_TRY(checkNamespace(c, r.namespaced, meta));
  meta.generation = oldMeta.generation;
  strategy.prepareForUpdate(c, o, old);
  if (meta.uid.empty()) meta.uid = oldMeta.uid;
  if (!oldMeta.creationTimestamp.isZero()) meta.creationTimestamp = oldMeta.creationTimestamp;
  if (oldMeta.deletionTimestamp) meta.deletionTimestamp = oldMeta.deletionTimestamp;
  if (oldMeta.deletionGracePeriodSeconds && !meta.deletionGracePeriodSeconds) {
    meta.deletionGracePeriodSeconds = oldMeta.deletionGracePeriodSeconds;
  }
  api::FieldErrors bad;
  checkMetaUpdate(c, o, old, bad);
  if (c.subresource == "status") {
    strategy.validateStatusUpdate(c, o, old, bad);
  } else {
    strategy.validateUpdate(c, o, old, bad);
  }
  KM_TRY(bad.toStatus(r.group, r.kind, meta.name));
  strategy.warnings(c, o, &old);
  strategy.canonicalize(o);
  return {};
}

void Registry::update(const Context& c, std::string name, MakeObject make, Admit admit, bool allowCreate,
                      UpdateCallback done) {
  if (Status s = checkNameParameter(name); !s.ok()) return done(std::move(s));
  auto call = std::make_shared<UpdateCall>(
      UpdateCall{c, std::move(name), std::move(make), std::move(admit), allowCreate, std::move(done)});
  // The cached version is nearly always the newest; where it is not, the guard of the write says so.
  attemptUpdate(call, cache_.get(c.ns, call->name));
}

Status Registry::wrongUid(const Context& c, std::string_view name, std::string_view stored) const {
  std::string key = cache_.storeKey(resource().namespaced ? c.ns : "", name);
  return errors::conflict(groupResource(c), name,
                          fmt::format("StorageError: invalid object, Code: 4, Key: {}, ResourceVersion: 0, "
                                      "AdditionalErrorMsg: Precondition "
                                      "failed: UID in precondition: {}, UID in object meta: {}",
                                      key, c.uid, stored));
}

void Registry::createAbsent(std::shared_ptr<UpdateCall> call, api::MutableObject o) {
  // What version the object had elsewhere does not matter.
  o->meta().resourceVersion.clear();
  create(call->context, std::move(o), call->admit, [this, call](Result<api::ObjectPtr> r) {
    if (r.ok()) return call->done(UpdateResult{*r, true});
    if (!r.status().is("AlreadyExists")) return call->done(r.status());
    // Someone else was first: then it is an update.
    get(call->context.ns, call->name, [this, call](Result<api::ObjectPtr> now) {
      if (!now.ok() && !now.status().is("NotFound")) return call->done(now.status());
      offload_([this, call, o = now.ok() ? *now : api::ObjectPtr()] { attemptUpdate(call, o); });
    });
  });
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
  if (!c.uid.empty() && (!existing || existing->meta().uid != c.uid)) {
    return call->done(wrongUid(c, call->name, existing ? existing->meta().uid.view() : ""));
  }
  call->make(existing, [this, call, existing](Result<api::MutableObject> made) {
    made.ok() ? settleUpdate(call, std::move(*made), existing) : call->done(made.status());
  });
}

// What was made, against the version that it was made from.
void Registry::settleUpdate(std::shared_ptr<UpdateCall> call, api::MutableObject o, api::ObjectPtr existing) {
  auto& meta = o->meta();
  meta.selfLink.clear();
  if (Status s = checkVersion(meta.resourceVersion); !s.ok()) return call->done(std::move(s));
  if (!existing) return createAbsent(call, std::move(o));
  const auto& oldMeta = existing->meta();
  bool unconditional = meta.resourceVersion.empty() || meta.resourceVersion == "0";
  if (unconditional && !strategy_.allowUnconditionalUpdate()) {
    api::FieldErrors bad;
    bad.invalid(api::Path("metadata.resourceVersion"), 0, "must be specified for an update");
    return call->done(bad.toStatus(resource().group, resource().name, call->name));
  }
  if (!unconditional && meta.resourceVersion != oldMeta.resourceVersion) {
    // The cache may be the one that is behind.
    auto conflict = [this, call] {
      call->done(errors::conflict(groupResource(call->context), call->name, kModified));
    };
    return get(call->context.ns, call->name, [this, call, existing, conflict](Result<api::ObjectPtr> r) {
      if (!r.ok()) return call->done(r.status());
      if ((*r)->resourceVersion() == existing->resourceVersion()) return conflict();
      offload_([this, call, o = *r] { attemptUpdate(call, o); });
    });
  }
  meta.resourceVersion = oldMeta.resourceVersion;
  admitUpdate(std::move(call), std::move(o), std::move(existing));
}

void Registry::admitUpdate(std::shared_ptr<UpdateCall> call, api::MutableObject o, api::ObjectPtr existing) {
  auto taken = take(*o, existing.get());
  if (!taken.ok()) return call->done(taken.status());
  if (Status s = prepareUpdate(call->context, *o, *existing); !s.ok()) return call->done(std::move(s));
  // When a manager set its fields is no change of itself.
  if (object::sameExceptManagedFieldsTime(*o, *existing)) o->meta().managedFields = existing->meta().managedFields;
  if (!call->admit) return commitUpdate(call, std::move(o), existing, std::move(*taken));
  call->admit(o, existing, [this, call, o, existing, taken = std::move(*taken)](Status s) {
    s.ok() ? commitUpdate(call, o, existing, taken) : call->done(std::move(s));
  });
}

void Registry::commitUpdate(std::shared_ptr<UpdateCall> call, api::MutableObject o, api::ObjectPtr existing,
                            std::shared_ptr<Taken> taken) {
  auto& meta = o->meta();
  const auto& oldMeta = existing->meta();
  // The last finalizer of a marked object went: so does the object. Its last version is the answer.
  bool emptied = oldMeta.deletionTimestamp && meta.finalizers.empty() &&
                 oldMeta.deletionGracePeriodSeconds.value_or(0) == 0 && strategy_.mayEnd(*o);
  // What is stored decides: a quantity may be written otherwise and mean the same.
  bool same =
      codec::equal(o->data(), existing->data(), o->type()) && *encode(*o) == *encode(*existing->clone());
  if (call->context.dryRun || (same && !emptied)) {
    // Nothing changed: nothing is written.
    return call->done(UpdateResult{call->context.dryRun ? api::ObjectPtr(std::move(o)) : existing, false});
  }
  if (emptied || !hooks_.claim)
    return writeUpdate(std::move(call), std::move(o), std::move(existing), std::move(taken), emptied);
  hooks_.claim(*o, existing.get(), [this, call, o, existing, taken](Status s) mutable {
    if (s.ok()) return writeUpdate(call, std::move(o), existing, std::move(taken), false);
    if (!s.is(kTakenElsewhere) || call->claims++ >= kMaxClaims) return call->done(std::move(s));
    taken.reset();
    offload_([this, call, existing] { attemptUpdate(call, existing); });
  });
}

void Registry::writeUpdate(std::shared_ptr<UpdateCall> call, api::MutableObject o, api::ObjectPtr existing,
                           std::shared_ptr<Taken> taken, bool emptied) {
  std::string key = cache_.storeKey(existing->ns(), call->name);
  store::Txn txn = emptied ? store::Txn::erase(std::move(key), existing->resourceVersion())
                           : store::Txn::update(std::move(key), existing->resourceVersion(), encode(*o));
  if (!emptied) {
    o->meta().resourceVersion.clear();
    txn.attachment = o;
  }
  commit(std::move(txn), [this, call, o, emptied, existing, taken](Result<store::TxnResult> r) mutable {
    if (!r.ok()) return call->done(r.status());
    if (!r->succeeded) {
      taken.reset();
      auto again = [this, call, kv = r->kv, o, existing] {
        retry([this, call](api::ObjectPtr now) { attemptUpdate(call, std::move(now)); }, kv,
              [call](Status s) { call->done(std::move(s)); });
      };
      return hooks_.unclaim && !emptied ? hooks_.unclaim(*o, existing.get(), std::move(again)) : again();
    }
    if (taken) taken->stored();
    if (o->meta().resourceVersion.empty()) o->meta().resourceVersion = std::to_string(r->revision);
    const api::Object* now = emptied ? nullptr : o.get();
    freed(*existing, now, [call, o, existing] { call->done(UpdateResult{o, false}); });
  });
}

}  // namespace km::registry
