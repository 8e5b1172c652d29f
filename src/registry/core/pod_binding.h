// The binding subresource of pods.
#pragma once

#include "api/object.h"
#include "base/clock.h"
#include "base/result.h"

namespace km::registry {

// Checks a Binding (the rules of its fields).
Status validateBinding(const api::Object& binding);

// The pod with the binding's node, and the condition and annotations that come with it. Conflict where the pod has a node
// already, is being deleted, or is gated.
Result<api::MutableObject> bindPod(const api::Object& pod, const api::Object& binding, WallTime now);

}  // namespace km::registry
