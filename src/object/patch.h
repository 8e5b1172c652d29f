// Patches: a JSON patch, a merge patch or a strategic merge patch applied to an object. Pure functions; any
// thread.
#pragma once

#include <string_view>

#include "api/object.h"
#include "base/result.h"
#include "codec/json.h"

namespace km::object {

enum class PatchKind {
  kJson,            // RFC 6902: application/json-patch+json
  kMerge,           // RFC 7386: application/merge-patch+json
  kStrategicMerge,  // application/strategic-merge-patch+json, over the marks of the field tables
};

// A JSON patch may hold this many operations.
inline constexpr int kMaxJsonPatchOperations = 10000;

// The object that results from the patch `body`, of the type of `current`. Errors have the codes and texts
// that upstream answers: 400 for a body that is no patch, 413 for too many operations, 422 for one that does
// not fit the object, 500 for what upstream's strategic merge refuses. `strict` null: fieldValidation=Ignore.
// Else it receives unknown and duplicate fields, for warnings; with `refuse` (fieldValidation=Strict) there
// being any is a 422 that quotes the object. No defaults are applied and managed fields are left as the patch
// leaves them; an empty list of them, which asks for a reset, comes out as one empty entry (see
// updateManagedFields).
Result<api::MutableObject> applyPatch(PatchKind kind, const api::Object& current, std::string_view body,
                                      codec::StrictErrors* strict, bool refuse = false);

}  // namespace km::object
