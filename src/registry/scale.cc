#include "registry/scale.h"

#include "api/selector.h"
#include "api/types/apps_v1.h"
#include "api/types/autoscaling_v1.h"
#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"
#include "registry/rules.h"

namespace km::registry {

namespace apps = api::apps_v1;

namespace {

template <typename T>
ScaleView view(const T& o) {
  ScaleView v;
  v.replicas = o.spec.replicas.value_or(0);
  v.statusReplicas = o.status.replicas;
  if (o.spec.selector) {
    auto parsed = api::LabelSelector::from(*o.spec.selector);
    if (parsed.ok()) v.selector = parsed->str();
  }
  return v;
}

}  // namespace

std::optional<ScaleView> scaleOf(const api::Object& o) {
  if (o.is(apps::Deployment::kType)) return view(o.as<apps::Deployment>());
  if (o.is(apps::ReplicaSet::kType)) return view(o.as<apps::ReplicaSet>());
  if (o.is(apps::StatefulSet::kType)) return view(o.as<apps::StatefulSet>());
  if (o.is(api::core_v1::ReplicationController::kType)) {
    const auto& r = o.as<api::core_v1::ReplicationController>();
    return ScaleView{r.spec.replicas.value_or(0), r.status.replicas, api::LabelSelector::ofSet(r.spec.selector).str()};
  }
  return {};
}

api::MutableObject makeScale(const api::Object& o) {
  auto v = scaleOf(o);
  if (!v) return nullptr;
  api::autoscaling_v1::Scale s;
  const auto& meta = o.meta();
  s.metadata.name = meta.name;
  s.metadata.namespace_ = meta.namespace_;
  s.metadata.uid = meta.uid;
  s.metadata.resourceVersion = meta.resourceVersion;
  s.metadata.creationTimestamp = meta.creationTimestamp;
  s.spec.replicas = v->replicas;
  s.status.replicas = v->statusReplicas;
  s.status.selector = v->selector;
  return api::Object::of(std::move(s));
}

Result<api::MutableObject> applyScale(const api::Object& o, const api::Object& object) {
  const auto& scale = object.as<api::autoscaling_v1::Scale>();
  FieldErrors bad;
  nonNegative(scale.spec.replicas, Path("spec.replicas"), bad);
  if (!bad.empty()) return bad.toStatus("autoscaling", "Scale", scale.metadata.name);
  api::MutableObject out = o.clone();
  int32_t n = scale.spec.replicas;
  if (o.is(apps::Deployment::kType)) {
    out->as<apps::Deployment>().spec.replicas = n;
  } else if (o.is(apps::ReplicaSet::kType)) {
    out->as<apps::ReplicaSet>().spec.replicas = n;
  } else if (o.is(apps::StatefulSet::kType)) {
    out->as<apps::StatefulSet>().spec.replicas = n;
  } else {
    out->as<api::core_v1::ReplicationController>().spec.replicas = n;
  }
  return out;
}

}  // namespace km::registry
