// The scale subresource: what a Scale says is what the workload says, and who owns its replicas owns the workload's.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "api/types/autoscaling_v1.h"
#include "api/types/meta_v1.h"
#include "apiserver/server.h"
#include "apiserver/special_subresources.h"
#include "object/managed_fields.h"
#include "object/patch.h"
#include "registry/scale.h"

namespace km::apiserver {
namespace {

using registry::ObjectCallback;

// Gives the new Scale for the old one, managed fields and all.
using Change = std::function<Result<api::MutableObject>(const api::Object& old)>;

object::FieldWriter writerOf(ApiServer& server, const Call& call) {
  object::FieldWriter w;
  w.manager = call.manager();
  w.subresource = "scale";
  w.now = server.operations().clock().now();
  return w;
}

void change(ApiServer& server, const CallPtr& call, std::string uid, Change to, ObjectCallback done) {
  auto make = [&server, call, to = std::move(to)](const api::ObjectPtr& existing) -> Result<api::MutableObject> {
    api::MutableObject old = registry::makeScale(*existing);
    if (old == nullptr) return errors::internal(fmt::format("{} has no scale", existing->kind()));
    object::scaleFieldsFromParent(*existing, *old);
    KM_ASSIGN(api::MutableObject scale, to(*old));
    KM_TRY(server.operations().checkBody(*call, *scale));
    KM_ASSIGN(api::MutableObject next, registry::applyScale(*existing, *scale));
    const auto& wanted = scale->meta().uid;
    if (!wanted.empty() && wanted != existing->meta().uid) {
      std::string what = fmt::format("{}/scale", call->served->resource->name);
      return errors::conflict({call->served->resource->group, what}, call->name,
                              fmt::format("Precondition failed: UID in precondition: {}, UID in object meta: {}", wanted, existing->meta().uid));
    }
    next->meta().resourceVersion = scale->meta().resourceVersion;
    object::scaleFieldsToParent(*scale, *next);
    return next;
  };
  registry::Context c = server.operations().context(*call);
  c.subresource.clear();
  c.uid = std::move(uid);
  call->served->registry->update(c, call->name, registry::makeAtOnce(std::move(make)), {}, false, [done = std::move(done)](Result<registry::UpdateResult> r) {
    if (!r.ok()) return done(r.status());
    done(api::ObjectPtr(registry::makeScale(*r->object)));
  });
}

void update(ApiServer& server, const CallPtr& call, api::MutableObject given, ObjectCallback done) {
  std::string uid = given->meta().uid.str();
  auto to = [&server, call, given](const api::Object& old) -> Result<api::MutableObject> {
    api::MutableObject scale = given->clone();
    object::updateManagedFields(&old, *scale, writerOf(server, *call));
    return scale;
  };
  change(server, call, std::move(uid), to, std::move(done));
}

void patch(ApiServer& server, const CallPtr& call, PatchKind kind, std::string body, ObjectCallback done) {
  auto to = [&server, call, kind, body = std::move(body)](const api::Object& old) -> Result<api::MutableObject> {
    codec::StrictErrors strict;
    bool refuse = call->fieldValidation == FieldValidation::kStrict;
    codec::StrictErrors* wanted = call->fieldValidation == FieldValidation::kIgnore ? nullptr : &strict;
    api::MutableObject scale;
    if (kind == PatchKind::kApply) {
      KM_ASSIGN(scale, object::serverSideApply(&old, api::autoscaling_v1::Scale::kType, body, call->force, writerOf(server, *call), wanted));
      if (refuse && !strict.errors.empty()) return errors::badRequest(fmt::format("error strict decoding YAML: {}", fmt::join(strict.errors, ", ")));
    } else {
      KM_ASSIGN(scale, object::applyPatch(static_cast<object::PatchKind>(kind), old, body, wanted, refuse));
      object::updateManagedFields(&old, *scale, writerOf(server, *call));
    }
    for (std::string& e : strict.errors) call->warnings.push_back(std::move(e));
    return scale;
  };
  change(server, call, "", to, std::move(done));
}

}  // namespace

void addScales(ApiServer& server) {
  for (auto [group, resource] : {std::pair("apps", "deployments"), {"apps", "replicasets"}, {"apps", "statefulsets"}, {"", "replicationcontrollers"}}) {
    SubresourceOps ops;
    ops.type = &api::autoscaling_v1::Scale::kType;
    ops.get = [&server](CallPtr call, ObjectCallback done) {
      server.operations().get(call, [done](Result<api::ObjectPtr> r) {
        if (!r.ok()) return done(r.status());
        done(api::ObjectPtr(registry::makeScale(**r)));
      });
    };
    ops.update = [&server](CallPtr call, api::MutableObject o, ObjectCallback done) { update(server, call, std::move(o), std::move(done)); };
    ops.patch = [&server](CallPtr call, PatchKind kind, std::string body, ObjectCallback done) {
      patch(server, call, kind, std::move(body), std::move(done));
    };
    server.subresources().add(group, resource, "scale", std::move(ops));
  }
}

}  // namespace km::apiserver
