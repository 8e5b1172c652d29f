// What a ResourceQuota charges for an object (upstream's quota evaluators).
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "api/object.h"
#include "api/types/fwd.h"
#include "base/clock.h"
#include "resources/amounts.h"

namespace km::resources {

// The rules of one kind of object. Immutable; any thread.
class Evaluator {
 public:
  virtual ~Evaluator() = default;

  // Which of these names of a quota the kind is counted under.
  virtual Names matching(const Names& names) const = 0;
  // What the object is charged with now: a pod that has ended only as an object.
  virtual ResourceList usage(const api::Object& o, WallTime now) const = 0;
  // Whether a write could change what is charged. `old` is null for a create.
  virtual bool concerns(std::string_view subresource, const api::Object& o, const api::Object* old) const;
  // Whether the object is in the scope of a quota.
  virtual bool inScope(const api::core_v1::ScopedResourceSelectorRequirement& scope, const api::Object& o) const { return false; }
  // What the object lacks if a quota limits these names ("must specify cpu for: a,b"), or "".
  virtual std::string lacks(const Names& limited, const api::Object& o) const { return ""; }
  // Whether an update frees or takes something that a controller has to count again.
  virtual bool changes(const api::Object& old, const api::Object& o, WallTime now) const { return false; }
};

// Kinds without rules of their own are counted as objects ("count/RESOURCE.GROUP").
std::unique_ptr<Evaluator> makeEvaluator(std::string_view group, std::string_view resource);

// Kinds that no quota counts: those that are not stored, and events.
bool isIgnoredByQuota(std::string_view group, std::string_view resource);

}  // namespace km::resources
