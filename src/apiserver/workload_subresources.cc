// Scales and the finalizing of namespaces.
#include <fmt/format.h>

#include "api/field_error.h"
#include "api/types/apps_v1.h"
#include "api/types/autoscaling_v1.h"
#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"
#include "api/types/policy_v1.h"
#include "api/selector.h"
#include "apiserver/server.h"
#include "apiserver/special_subresources.h"
#include "object/managed_fields.h"

namespace km::apiserver {
namespace {

using registry::ObjectCallback;

registry::Context contextOf(ApiServer& server, Call& call) {
  registry::Context c;
  c.user = &call.user;
  c.ns = call.ns;
  c.subresource = call.subresource;
  c.dryRun = call.dryRun;
  c.now = server.operations().clock().now();
  c.warnings = &call.warnings;
  return c;
}

// --- scale --------------------------------------------------------------------------------------------

// Where a kind keeps what a Scale shows.
struct Scaled {
  int32_t replicas = 0, current = 0;
  std::string selector;
  std::optional<int32_t>* field = nullptr;
};

template <typename T>
Scaled scaledOf(T& w) {
  Scaled s;
  s.replicas = w.spec.replicas.value_or(0);
  s.current = w.status.replicas;
  if constexpr (requires { w.spec.selector->matchLabels; }) {
    if (w.spec.selector) {
      if (auto selector = api::LabelSelector::from(*w.spec.selector); selector.ok()) s.selector = selector->str();
    }
  } else {
    s.selector = api::LabelSelector::ofSet(w.spec.selector).str();
  }
  s.field = &w.spec.replicas;
  return s;
}

Scaled scaled(api::Object& o) {
  if (o.is(api::apps_v1::Deployment::kType)) return scaledOf(o.as<api::apps_v1::Deployment>());
  if (o.is(api::apps_v1::ReplicaSet::kType)) return scaledOf(o.as<api::apps_v1::ReplicaSet>());
  if (o.is(api::apps_v1::StatefulSet::kType)) return scaledOf(o.as<api::apps_v1::StatefulSet>());
  return scaledOf(o.as<api::core_v1::ReplicationController>());
}

api::ObjectPtr scaleOf(const api::Object& o) {
  Scaled s = scaled(const_cast<api::Object&>(o));
  api::autoscaling_v1::Scale out;
  out.metadata.name = o.name();
  out.metadata.namespace_ = o.ns();
  out.metadata.uid = o.meta().uid;
  out.metadata.resourceVersion = o.meta().resourceVersion;
  out.metadata.creationTimestamp = o.meta().creationTimestamp;
  out.spec.replicas = s.replicas;
  out.status.replicas = s.current;
  out.status.selector = s.selector;
  return api::Object::of(std::move(out));
}

void updateScale(ApiServer& server, CallPtr call, const api::Object& given, ObjectCallback done) {
  const auto& scale = given.as<api::autoscaling_v1::Scale>();
  api::FieldErrors bad;
  if (scale.spec.replicas < 0) {
    bad.invalid(api::Path("spec.replicas"), scale.spec.replicas, "must be greater than or equal to 0");
  }
  if (Status s = bad.toStatus("autoscaling", "Scale", call->name); !s.ok()) return done(std::move(s));
  int32_t replicas = scale.spec.replicas;
  std::string version = scale.metadata.resourceVersion.str();
  std::string uid = scale.metadata.uid.str();
  object::FieldWriter writer;
  writer.manager = call->manager();
  writer.subresource = "scale";
  writer.now = server.operations().clock().now();
  auto make = [call, replicas, version, uid, writer](const api::ObjectPtr& existing) -> Result<api::MutableObject> {
    if (!version.empty() && version != existing->meta().resourceVersion) {
      return errors::conflict(call->groupResource(), call->name,
                              "the object has been modified; please apply your changes to the latest version and try again");
    }
    if (!uid.empty() && existing->meta().uid != uid) {
      return errors::conflict(call->groupResource(), call->name,
                              fmt::format("Precondition failed: UID in precondition: {}, UID in object meta: {}", uid, existing->meta().uid));
    }
    api::MutableObject o = existing->clone();
    *scaled(*o).field = replicas;
    // The parent's fields, as far as a Scale has them, get their writer through the Scale.
    api::MutableObject live = scaleOf(*existing)->clone(), next = scaleOf(*o)->clone();
    object::scaleFieldsFromParent(*existing, *live);
    object::scaleFieldsFromParent(*existing, *next);
    object::updateManagedFields(live.get(), *next, writer);
    object::scaleFieldsToParent(*next, *o);
    return o;
  };
  registry::Context c = contextOf(server, *call);
  c.subresource.clear();
  call->served->registry->update(c, call->name, std::move(make), {}, false, [done](Result<registry::UpdateResult> r) {
    if (!r.ok()) return done(r.status());
    done(scaleOf(*r->object));
  });
}

}  // namespace

void addScales(ApiServer& server) {
  for (auto [group, resource] : {std::pair("apps", "deployments"), {"apps", "replicasets"}, {"apps", "statefulsets"}, {"", "replicationcontrollers"}}) {
    SubresourceOps ops;
    ops.type = &api::autoscaling_v1::Scale::kType;
    ops.get = [&server](CallPtr call, ObjectCallback done) {
      server.operations().get(call, [done](Result<api::ObjectPtr> r) {
        if (!r.ok()) return done(r.status());
        done(scaleOf(**r));
      });
    };
    ops.update = [&server](CallPtr call, api::MutableObject o, ObjectCallback done) { updateScale(server, call, *o, std::move(done)); };
    server.subresources().add(group, resource, "scale", std::move(ops));
  }
}

void addNamespaceFinalize(ApiServer& server) {
  SubresourceOps ops;
  ops.type = &api::core_v1::Namespace::kType;
  // The last finalizer that goes takes a terminating namespace with it.
  ops.update = [&server](CallPtr call, api::MutableObject o, ObjectCallback done) {
    call->served->registry->strategy().setDefaults(*o);
    server.operations().update(call, std::move(o), [&server, call, done](Result<registry::UpdateResult> r) {
      if (!r.ok()) return done(r.status());
      const auto& ns = r->object->as<api::core_v1::Namespace>();
      if (!ns.metadata.deletionTimestamp || !ns.spec.finalizers.empty() || !ns.metadata.finalizers.empty()) return done(r->object);
      auto last = r->object;
      registry::DeleteOptions options;
      options.uid = ns.metadata.uid.str();
      call->served->registry->remove(contextOf(server, *call), call->name, options, {}, [last, done](Result<registry::Deleted> d) {
        if (!d.ok() && !d.status().is("NotFound")) return done(d.status());
        done(last);
      });
    });
  };
  server.subresources().add("", "namespaces", "finalize", std::move(ops));
}

}  // namespace km::apiserver
