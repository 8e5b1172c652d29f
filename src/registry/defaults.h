// Default values: walks an object through its tables, and gives what a client left out its default, as upstream's generated
// defaulters do. Parents come before their parts: a default of a struct may depend on what the client gave below it.
#pragma once

#include <span>

#include "api/object.h"
#include "codec/type.h"

namespace km::registry {

// Sets the defaults of one struct that depend on its other fields; its parts come after it.
struct TypeDefault {
  const codec::TypeInfo* type;
  void (*apply)(void* value);
};

// Every default, constant (FieldMarks.defaultJson) or by rule, of the object and all that it holds. Idempotent. Any thread.
void applyDefaults(api::Object& o);
void applyDefaults(void* value, const codec::TypeInfo& t);

// The rules by group; each stands beside the group's strategies.
std::span<const TypeDefault> coreDefaults();
std::span<const TypeDefault> podDefaults();
std::span<const TypeDefault> workloadDefaults();  // apps, batch, autoscaling, policy
std::span<const TypeDefault> otherDefaults();     // the other groups

}  // namespace km::registry
