// metadata.managedFields: who set which field (sigs.k8s.io/structured-merge-diff over the field tables), and
// server-side apply, which decides by it. Pure functions; any thread.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "api/object.h"
#include "base/clock.h"
#include "base/result.h"
#include "codec/json.h"

namespace km::api {
class FieldErrors;
class Path;
}

namespace km::object {

// Field paths that a strategy resets ("status"; "spec", "metadata.labels"): nobody comes to own them through
// this endpoint.
using ResetFields = std::vector<std::string_view>;

// Who writes, and through which endpoint.
struct FieldWriter {
  std::string manager;      // managerOf()
  std::string subresource;  // "" or "status", "scale", ...
  WallTime now;
  ResetFields reset;
  // The JSON of a create or update, if at hand: a list that it names as empty counts as set, which the object
  // cannot tell.
  std::string_view body;
  // Fills defaults into an object that apply made (Strategy::setDefaults and the constant ones); may be null.
  std::function<void(api::Object&)> setDefaults;
};

// The manager of a request: `fieldManager` if given, else the part of the user agent before the first "/", at
// most 128 characters of it.
std::string managerOf(std::string_view fieldManager, std::string_view userAgent);

// What upstream's FieldManager.UpdateNoErrors does for a create (`live` null), update or patch: `o` is the
// new object as it will be stored, with the managed fields that the request carries (one empty entry: start
// anew); on return o.metadata.managedFields tells who owns what. Both objects are of one type, in the version
// of the request. Never fails: managed fields that cannot be read start anew.
void updateManagedFields(const api::Object* live, api::Object& o, const FieldWriter& w);

// Checks an object's managed fields as its other metadata are checked, and the name of a manager.
void validateManagedFields(const api::meta_v1::ObjectMeta& meta, const api::Path& path, api::FieldErrors& errors);
void validateManagerName(std::string_view manager, const api::Path& path, api::FieldErrors& errors);

// Server-side apply of `body` (YAML or JSON) to the live object, in the version of the request; `live` null:
// create. Errors: 400 for a bad body, 409 Conflict with a cause for each field of another manager unless
// `force`. If the apply changes nothing, the result equals the live object, managed fields and times
// included. No `strict` for fieldValidation=Ignore; else it receives what upstream's strict YAML decoder says
// of repeated keys, after the apply: a warning, or with "error strict decoding YAML: " before it a 400.
// (Unknown fields are errors whatever it says.) A body with a uid for an object that does not exist is the
// caller's to refuse.
Result<api::MutableObject> serverSideApply(const api::Object* live, const codec::TypeInfo& type,
                                           std::string_view body, bool force, const FieldWriter& w,
                                           codec::StrictErrors* strict);

// The scale subresource has managed fields of its own, which stand in the parent's under "spec.replicas". The
// first gives `scale` what its parent's entries say of the replicas; the second writes what became of them in
// `scale` back to `parent`, which still has its old entries.
void scaleFieldsFromParent(const api::Object& parent, api::Object& scale);
void scaleFieldsToParent(const api::Object& scale, api::Object& parent);

// Whether the two differ at most in the times of their managed fields (and in the resource version): such an
// update is not written.
bool sameExceptManagedFieldsTime(const api::Object& a, const api::Object& b);

}  // namespace km::object
