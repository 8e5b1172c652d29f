// Writes. Reads stand in reads.cc.
#include "apiserver/operations.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "api/field_error.h"
#include "api/types/meta_v1.h"
#include "apiserver/local_client.h"
#include "codec/ops.h"
#include "object/convert.h"
#include "object/managed_fields.h"
#include "object/patch.h"

namespace km::apiserver {
namespace {

// A write for admission: a create without `old`, a delete without `o`.
admission::AttributesPtr admissionOf(const CallPtr& call, api::MutableObject o, api::ObjectPtr old) {
  auto a = std::make_shared<admission::Attributes>();
  a->operation = old == nullptr ? admission::Operation::kCreate
                 : o == nullptr ? admission::Operation::kDelete
                                : admission::Operation::kUpdate;
  a->resource = &call->served->registry->resource();
  a->subresource = call->subresource;
  a->ns = call->ns;
  a->name = call->name;
  a->object = std::move(o);
  a->old = std::move(old);
  a->user = &call->user;
  a->dryRun = call->dryRun;
  a->warnings = &call->warnings;
  a->call = call;
  return a;
}

// Who writes, for managed fields.
object::FieldWriter fieldWriter(const Call& call, Clock& clock) {
  object::FieldWriter w;
  w.manager = call.manager();
  w.subresource = call.subresource;
  w.now = clock.now();
  w.reset = call.served->registry->strategyOf(call.subresource).resetFields(call.subresource);
  if (call.body) w.body = *call.body;
  return w;
}

authz::Attributes attributesOf(const Call& call, std::string_view verb) {
  authz::Attributes a;
  a.user = &call.user;
  a.verb = verb;
  a.isResource = true;
  a.group = call.served->resource->group;
  a.version = call.served->resource->version;
  a.resource = call.served->resource->name;
  a.subresource = call.subresource;
  a.ns = call.ns;
  a.name = call.name;
  return a;
}

// Owner references that are there twice, whole, are dropped; whoever sent them is warned with the uids.
// `afterAdmission`: that is when upstream looks at what a patch made.
void dropRepeatedOwners(api::Object& o, Call& call, bool afterAdmission) {
  auto& owners = o.meta().ownerReferences;
  std::vector<std::string> uids;
  for (size_t i = 1; i < owners.size();) {
    bool repeated = false;
    for (size_t j = 0; j < i && !repeated; j++)
      repeated = codec::equal(&owners[i], &owners[j], api::meta_v1::OwnerReference::kType);
    if (!repeated) {
      i++;
      continue;
    }
    if (std::find(uids.begin(), uids.end(), owners[i].uid) == uids.end()) uids.push_back(owners[i].uid.str());
    owners.erase(i);
  }
  if (uids.empty()) return;
  std::sort(uids.begin(), uids.end());
  call.warnings.push_back(fmt::format(
      ".metadata.ownerReferences contains duplicate entries{}; API server dedups owner references in 1.20+, "
      "and may "
      "reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: {}",
      afterAdmission ? " after mutating admission happens" : "", fmt::join(uids, ", ")));
}

}  // namespace

std::string Call::manager() const {
  return object::managerOf(fieldManager, userAgent);
}

Operations::Operations(Resources& resources, store::Store& store, const admission::Chain& admission,
                       Clock& clock, async::Loop& timers, std::function<void(std::function<void()>)> offload)
    : resources_(resources),
      store_(store),
      admission_(admission),
      clock_(clock),
      timers_(timers),
      offload_(std::move(offload)) {}

registry::Context Operations::context(const Call& call) const {
  registry::Context c;
  c.user = &call.user;
  c.ns = call.ns;
  c.group = call.served->resource->group;
  c.subresource = call.subresource;
  c.dryRun = call.dryRun;
  c.now = clock_.now();
  c.warnings = const_cast<std::vector<std::string>*>(&call.warnings);
  return c;
}

Result<api::MutableObject> Operations::toStored(const Call& call, api::MutableObject o) const {
  const codec::TypeInfo& stored = *call.served->registry->resource().type;
  if (&o->type() == &stored) return o;
  return object::convert(*o, stored);
}

Result<api::ObjectPtr> Operations::toServed(const Call& call, const api::ObjectPtr& o) const {
  if (!call.served->converts() || &o->type() != call.served->registry->resource().type) return o;
  KM_ASSIGN(api::MutableObject converted, object::convert(*o, *call.served->resource->type));
  return api::ObjectPtr(std::move(converted));
}

// Defaults an object of the served version, as the version that is stored is defaulted.
Status Operations::settle(const Call& call, api::MutableObject& o) const {
  const registry::Strategy& strategy = call.served->registry->strategy();
  if (!call.served->converts()) {
    strategy.setDefaults(*o);
    return checkDecoded(call, *o);
  }
  KM_ASSIGN(api::MutableObject stored, toStored(call, o));
  strategy.setDefaults(*stored);
  KM_ASSIGN(o, object::convert(*stored, *call.served->resource->type));
  return {};
}

void Operations::admitMutating(const CallPtr& call, api::MutableObject o, api::ObjectPtr old, std::function<void(Status)> done) const {
  admission::AttributesPtr a = admissionOf(call, std::move(o), std::move(old));
  if (a->object != nullptr && !a->object->name().empty()) a->name = a->object->name();
  admission_.mutate(a, std::move(done));
}

Status Operations::checkDecoded(const Call& call, const api::Object& o) const {
  if (call.served->registry == nullptr || call.served->converts()) return {};
  Status s = call.served->registry->strategy().checkDecoded(o);
  if (s.ok()) return s;
  const api::Resource& r = *call.served->resource;
  return errors::badRequest(fmt::format("{} in version {} cannot be handled as a {}: {}", r.kind,
                                        api::goQuote(r.version), r.kind, s.message()));
}

void Operations::admitSubresource(CallPtr call, api::MutableObject o, std::function<void(Status)> done) const {
  admission::AttributesPtr a = admissionOf(call, std::move(o), nullptr);
  admission_.mutate(a, [this, a, done = std::move(done)](Status s) mutable {
    s.ok() ? admission_.validate(a, std::move(done)) : done(std::move(s));
  });
}

registry::Admit Operations::validating(CallPtr call) const {
  return [this, call](const api::MutableObject& o, const api::ObjectPtr& old, std::function<void(Status)> done) {
    // A replace or an apply that creates needs the right to.
    if (old == nullptr && call->verb != "create") {
      if (Status s = mayCreate(*call); !s.ok()) return done(std::move(s));
    }
    admission::AttributesPtr a = admissionOf(call, o, old);
    a->name = o->name();
    admission_.validate(a, std::move(done));
  };
}

authz::Answer Operations::ask(const Call& call, std::string_view verb) const {
  if (authorizer_ == nullptr) return {authz::Decision::kAllow, ""};
  authz::Attributes a = attributesOf(call, verb);
  return authorizer_->authorize(a);
}

Status Operations::mayCreate(const Call& call) const {
  authz::Answer answer = ask(call, "create");
  if (answer.decision == authz::Decision::kAllow) return {};
  return forbiddenBy(attributesOf(call, "create"), answer.reason);
}

Status Operations::checkBody(const Call& call, api::Object& o) const {
  auto& meta = o.meta();
  std::string_view ns = call.served->resource->namespaced ? std::string_view(call.ns) : std::string_view();
  if (meta.namespace_.empty()) {
    meta.namespace_ = ns;
  } else if (meta.namespace_ != ns) {
    return errors::badRequest(
        "the namespace of the provided object does not match the namespace sent on the request");
  }
  if (call.name.empty()) return {};
  if (meta.name.empty()) {
    return errors::badRequest(fmt::format(
        "the name of the object ({} based on URL) was undeterminable: name must be provided", call.name));
  }
  if (meta.name != call.name) {
    return errors::badRequest(fmt::format(
        "the name of the object ({}) does not match the name on the URL ({})", meta.name, call.name));
  }
  return {};
}

void Operations::create(CallPtr call, api::MutableObject o, registry::ObjectCallback done) {
  auto& meta = o->meta();
  // What only the system sets is not taken from the body.
  meta.creationTimestamp = {};
  meta.uid.clear();
  meta.deletionTimestamp.reset();
  meta.deletionGracePeriodSeconds.reset();
  meta.selfLink.clear();
  if (Status s = checkBody(*call, *o); !s.ok()) return done(std::move(s));
  // A request that creates a namespace is, for admission, one inside it.
  if (call->served->resource->kind == "Namespace" && call->served->resource->group.empty() &&
      call->ns.empty())
    call->ns = meta.name.str();
  dropRepeatedOwners(*o, *call, false);
  if (Status s = settle(*call, o); !s.ok()) return done(std::move(s));
  object::updateManagedFields(nullptr, *o, fieldWriter(*call, clock_));
  auto stored = toStored(*call, std::move(o));
  if (!stored.ok()) return done(stored.status());
  admitMutating(call, *stored, nullptr, [this, call, o = *stored, done = std::move(done)](Status s) mutable {
    if (!s.ok()) return done(std::move(s));
    if (guard_) {
      if (Status refused = guard_(*call, *o, nullptr); !refused.ok()) return done(std::move(refused));
    }
    call->served->registry->create(context(*call), std::move(o), validating(call), std::move(done));
  });
}

// Mutating admission and the guard, of what an update or a patch made.
void Operations::finishMaking(const CallPtr& call, api::MutableObject stored, const api::ObjectPtr& existing, bool repeatedOwners,
                              std::function<void(Result<api::MutableObject>)> done) const {
  admitMutating(call, stored, existing, [this, call, stored, existing, repeatedOwners, done = std::move(done)](Status s) mutable {
    if (!s.ok()) return done(std::move(s));
    if (guard_) {
      if (Status refused = guard_(*call, *stored, existing.get()); !refused.ok()) return done(std::move(refused));
    }
    if (repeatedOwners) dropRepeatedOwners(*stored, *call, true);
    done(std::move(stored));
  });
}

registry::MakeObject Operations::updateMaker(CallPtr call, api::MutableObject body) {
  return [this, call, body](const api::ObjectPtr& existing, std::function<void(Result<api::MutableObject>)> done) {
    api::MutableObject o = body->clone();
    object::FieldWriter writer = fieldWriter(*call, clock_);
    api::ObjectPtr live;
    if (existing) {
      auto served = toServed(*call, existing);
      if (!served.ok()) return done(served.status());
      live = std::move(*served);
    }
    object::updateManagedFields(live.get(), *o, writer);
    auto stored = toStored(*call, std::move(o));
    if (!stored.ok()) return done(stored.status());
    finishMaking(call, std::move(*stored), existing, false, std::move(done));
  };
}

void Operations::update(CallPtr call, api::MutableObject o, registry::UpdateCallback done) {
  if (Status s = checkBody(*call, *o); !s.ok()) return done(std::move(s));
  dropRepeatedOwners(*o, *call, false);
  if (Status s = settle(*call, o); !s.ok()) return done(std::move(s));
  registry::Registry& r = *call->served->registry;
  registry::Context c = context(*call);
  // The uid of a replace is a precondition; of a patch, it is a change.
  c.uid = o->meta().uid.str();
  r.update(c, call->name, updateMaker(call, std::move(o)), validating(call), false, std::move(done));
}

// The object with the patch, of the stored version; without one it is created.
Result<api::MutableObject> Operations::patched(const CallPtr& call, PatchKind kind, std::string_view body,
                                               const api::ObjectPtr& existing) const {
  const registry::Strategy& strategy = call->served->registry->strategy();
  object::FieldWriter writer = fieldWriter(*call, clock_);
  writer.setDefaults = [&strategy](api::Object& o) { strategy.setDefaults(o); };
  codec::StrictErrors strict;
  codec::StrictErrors* wanted = call->fieldValidation == FieldValidation::kIgnore ? nullptr : &strict;
  api::ObjectPtr live;
  if (existing) {
    KM_ASSIGN(live, toServed(*call, existing));
  }
  api::MutableObject o;
  if (kind == PatchKind::kApply) {
    KM_ASSIGN(o, object::serverSideApply(live.get(), *call->served->resource->type, body, call->force,
                                         writer, wanted));
    if (!strict.errors.empty() && call->fieldValidation == FieldValidation::kStrict) {
      return errors::badRequest(
          fmt::format("error strict decoding YAML: {}", fmt::join(strict.errors, ", ")));
    }
  } else {
    if (!live) return errors::notFound(call->groupResource(), call->name);
    KM_ASSIGN(o, object::applyPatch(static_cast<object::PatchKind>(kind), *live, body, wanted,
                                    call->fieldValidation == FieldValidation::kStrict));
    KM_TRY(settle(*call, o));
    object::updateManagedFields(live.get(), *o, writer);
  }
  for (std::string& e : strict.errors) call->warnings.push_back(std::move(e));
  if (!existing && !o->meta().uid.empty()) {
    return errors::conflict(
        call->groupResource(), call->name,
        fmt::format("uid mismatch: the provided object specified uid {}, and no existing object was found",
                    o->meta().uid));
  }
  KM_TRY(checkBody(*call, *o));
  return toStored(*call, std::move(o));
}

registry::MakeObject Operations::patchMaker(CallPtr call, PatchKind kind, std::string body) {
  return [this, call, kind, body = std::move(body)](const api::ObjectPtr& existing,
                                                    std::function<void(Result<api::MutableObject>)> done) {
    auto stored = patched(call, kind, body, existing);
    if (!stored.ok()) return done(stored.status());
    finishMaking(call, std::move(*stored), existing, true, std::move(done));
  };
}

void Operations::patch(CallPtr call, PatchKind kind, std::string body, registry::UpdateCallback done) {
  registry::Registry& r = *call->served->registry;
  bool mayCreate = kind == PatchKind::kApply && call->subresource.empty();
  r.update(context(*call), call->name, patchMaker(call, kind, std::move(body)), validating(call), mayCreate,
           std::move(done));
}

namespace {
// Their pods stay by default, other than anywhere else, which surprises.
void warnOfJobs(Call& call, const registry::DeleteOptions& options) {
  if (call.served->resource->group != "batch" || call.served->resource->name != "jobs") return;
  if (!options.propagationPolicy.empty() || options.orphanDependents) return;
  call.warnings.push_back(
      "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set "
      "propagationPolicy=Orphan to suppress this warning");
}
}  // namespace

void Operations::remove(CallPtr call, registry::DeleteOptions options, registry::DeleteCallback done) {
  warnOfJobs(*call, options);
  auto admit = [this, call](const api::MutableObject&, const api::ObjectPtr& old, std::function<void(Status)> done) {
    admitMutating(call, nullptr, old, [this, call, old, done = std::move(done)](Status s) mutable {
      if (!s.ok()) return done(std::move(s));
      admission::AttributesPtr a = admissionOf(call, nullptr, old);
      a->name = old->name();
      a->subresource = {};
      admission_.validate(a, std::move(done));
    });
  };
  call->served->registry->remove(context(*call), call->name, std::move(options), std::move(admit),
                                 std::move(done));
}

void Operations::removeCollection(CallPtr call, registry::DeleteOptions options,
                                  std::function<void(Result<ListResult>)> done) {
  warnOfJobs(*call, options);
  list(call, [this, call, options, done = std::move(done)](Result<ListResult> listed) mutable {
    if (!listed.ok() || listed->items.empty()) return done(std::move(listed));
    // One after another would be slow, all at once unfair to others; the store commits them in batches
    // anyway.
    struct State {
      ListResult result;
      size_t left;
      std::mutex mutex;
      Status first;
      std::function<void(Result<ListResult>)> done;
    };
    auto state = std::make_shared<State>();
    state->result = std::move(*listed);
    state->left = state->result.items.size();
    state->done = std::move(done);
    offload_([this, call, options, state] {
      for (const api::ObjectPtr& o : std::vector<api::ObjectPtr>(state->result.items)) {
        auto one = std::make_shared<Call>(*call);
        one->ns = o->ns();
        one->name = o->name();
        remove(one, options, [state, one](Result<registry::Deleted> r) {
          bool last;
          {
            std::lock_guard lock(state->mutex);
            // Someone else may have deleted it meanwhile.
            if (!r.ok() && !r.status().is("NotFound") && state->first.ok()) state->first = r.status();
            last = --state->left == 0;
          }
          if (!last) return;
          if (!state->first.ok()) return state->done(state->first);
          state->done(std::move(state->result));
        });
      }
    });
  });
}

}  // namespace km::apiserver
