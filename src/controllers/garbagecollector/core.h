// What the garbage collector decides about one object, given the state of its owners. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/object.h"
#include "controllers/objects.h"

namespace km::controllers::garbagecollector {

inline constexpr std::string_view kForeground = "foregroundDeletion";
inline constexpr std::string_view kOrphan = "orphan";

bool hasFinalizer(const ObjectMeta& meta, std::string_view name);
// Deleted in the foreground: waits for its dependents.
bool isDeletingDependents(const ObjectMeta& meta);
bool isOrphaning(const ObjectMeta& meta);
bool ownsBlocking(const ObjectMeta& dependent, std::string_view ownerUid);

enum class OwnerState { kSolid, kAbsent, kWaiting };  // kWaiting: is deleting its dependents

struct Decision {
  enum class Act { kNothing, kDropReferences, kRemove } act = Act::kNothing;
  std::vector<std::string> drop;   // uids of the references to take out
  std::string policy;              // of kRemove
  bool unblock = false;            // first let go of the owners: the object is part of a circle of waiting ones
};

// `states`: of latest's ownerReferences, in their order. `dependents`: whether it has any; `circle`: whether one of them is
// deleting its dependents, too.
Decision decide(const ObjectMeta& latest, const std::vector<OwnerState>& states, bool dependents, bool circle);

// Patches. Strategic merge: takes the references out.
std::string dropReferencesPatch(const ObjectMeta& object, const std::vector<std::string>& ownerUids);
// Strategic merge: no owner is blocked any more.
std::string unblockPatch(const ObjectMeta& object);
// Merge: without the finalizer, only for this version.
std::string dropFinalizerPatch(const ObjectMeta& object, std::string_view finalizer);

}  // namespace km::controllers::garbagecollector
