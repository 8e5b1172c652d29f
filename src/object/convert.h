// Conversion between the versions of one kind.
#pragma once

#include "api/object.h"
#include "base/result.h"

namespace km::object {

// The object as the type `to`, which is the same kind of another version: field by field by name, with the
// special rules of Event (v1, events.k8s.io/v1) and HorizontalPodAutoscaler (autoscaling/v1, v2). An object
// that has that type already is copied.
Result<api::MutableObject> convert(const api::Object& o, const codec::TypeInfo& to);

}  // namespace km::object
