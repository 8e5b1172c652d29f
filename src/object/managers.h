// The owners of an object's fields in memory, and the step that create, update and apply share.
#pragma once

#include <map>
#include <string>

#include "api/object.h"
#include "api/types/meta_v1.h"
#include "object/field_set.h"
#include "object/managed_fields.h"
#include "object/typed.h"

namespace km::object {

struct Manager {
  std::string name;
  std::string apiVersion;
  std::string subresource;
  bool apply = false;
  codec::Time time;
  FieldSet set;

  // What tells managers apart, in upstream's text: conflicts are sorted by it.
  std::string id() const;
};
using Managers = std::map<std::string, Manager>;

using ManagedFieldsList = codec::List<api::meta_v1::ManagedFieldsEntry>;
Result<Managers> decodeManagers(const ManagedFieldsList& list);
ManagedFieldsList encodeManagers(const Managers& managers);

// The type of an object's kind in another version; null if there is none.
const codec::TypeInfo* typeInVersion(const codec::TypeInfo& type, std::string_view apiVersion);

// An object as a document.
codec::Value documentOf(const api::Object& o);

// What changed between two objects of one type, in any version of their kind.
class Changes {
 public:
  Changes(const api::Object& before, const api::Object& after, FieldSet reset);

  // Says what changed in the version of the objects themselves, where the caller knows it from documents.
  void preset(const std::string& apiVersion, Comparison c);
  // In a version; null if the kind has no such version.
  const Comparison* in(const std::string& apiVersion);

 private:
  const api::Object& before_;
  const api::Object& after_;
  FieldSet reset_;
  std::map<std::string, std::optional<Comparison>> made_;
};

// Makes the sets of managers fit a schema that changed since they were written, and drops those of unknown
// versions.
void reconcileManagers(Managers& managers, const codec::TypeInfo& type);

// Takes the changed fields from every manager but `self`, and drops managers left with nothing. With
// `conflicts` (not forced), if others own changed fields, fills that with what they own and changes nothing.
void takeOwnership(Managers& managers, const std::string& self, Changes& changes, Managers* conflicts);

// Takes what nobody owns (name, uid, ...) out of a manager's set; drops it if that leaves nothing.
void stripSystemFields(Managers& managers, const std::string& id);

// Merges the oldest updaters into "ancient-changes" until there are no more than ten.
void capManagers(Managers& managers);

// The update of `managers` by a write of `o` over `live` (null: none). False if the objects cannot be
// compared.
bool updateManagers(Managers& managers, const api::Object* live, const api::Object& o, const FieldWriter& w,
                    std::string_view managerName);

}  // namespace km::object
