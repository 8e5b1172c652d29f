// The scale subresource of workloads.
#pragma once

#include <optional>

#include "api/object.h"
#include "base/result.h"

namespace km::registry {

// What a Scale says of a Deployment, ReplicaSet, StatefulSet or ReplicationController.
struct ScaleView {
  int32_t replicas = 0;        // wanted
  int32_t statusReplicas = 0;  // there are
  std::string selector;        // "app=web"
};
std::optional<ScaleView> scaleOf(const api::Object& o);
// The autoscaling/v1 Scale of the object; null for kinds that have none.
api::MutableObject makeScale(const api::Object& o);
// The object with the Scale's number of replicas. The Scale's own rules are checked.
Result<api::MutableObject> applyScale(const api::Object& o, const api::Object& scale);

}  // namespace km::registry
