// Strategy: the rules of one resource that are code. The generic registry runs them in one order for every resource
// (see registry.h); a resource overrides what differs from the defaults below.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/field_error.h"
#include "api/object.h"
#include "api/resource.h"
#include "api/validation.h"
#include "authn/user.h"
#include "base/clock.h"
#include "registry/traits.h"

namespace km::registry {

// What a strategy may know of the request.
struct Context {
  const authn::UserInfo* user = nullptr;
  std::string ns;             // of the request; empty for cluster scope
  std::string group;          // of the request's API: events are checked more strictly through events.k8s.io
  std::string subresource;    // "" or "status", "scale", ...
  bool dryRun = false;
  bool raw = false;           // the new object is made by the server itself: the strategy is not asked (bindings)
  std::string uid;            // of an update: what the stored object's uid must be, if not empty
  WallTime now;
  std::vector<std::string>* warnings = nullptr;

  void warn(std::string text) const {
    if (warnings != nullptr) warnings->push_back(std::move(text));
  }
};

// How deletions treat dependents when the caller does not say.
enum class GarbageCollection { kBackground, kOrphan, kUnsupported };

class Strategy {
 public:
  virtual ~Strategy() = default;

  // Runs on every object that is decoded from a request or from the store, so it must be idempotent. The base applies the
  // defaults of defaults.h, which suffices for nearly every kind.
  virtual void setDefaults(api::Object& o) const;

  // What upstream's conversion to its internal type refuses in an object that a client sent; the message says only why.
  virtual Status checkDecoded(const api::Object& o) const { return {}; }

  // Clears what a creator may not set. The base clears `status` if it is a subresource, and sets the generation.
  virtual void prepareForCreate(const Context& c, api::Object& o) const;
  virtual void validateCreate(const Context& c, const api::Object& o, api::FieldErrors& errors) const {}
  // Brings over what an updater may not change. The base keeps `status` (of a status update: everything else), and counts
  // the generation up when `spec` changed.
  virtual void prepareForUpdate(const Context& c, api::Object& o, const api::Object& old) const;
  virtual void validateUpdate(const Context& c, const api::Object& o, const api::Object& old, api::FieldErrors& errors) const {}
  // Update of the status subresource; prepareForUpdate has run.
  virtual void validateStatusUpdate(const Context& c, const api::Object& o, const api::Object& old,
                                    api::FieldErrors& errors) const {}
  // Warnings of a create (old is null) or update.
  virtual void warnings(const Context& c, const api::Object& o, const api::Object* old) const {}
  // Normalizes after validation.
  virtual void canonicalize(api::Object& o) const {}

  // The checks of the metadata that upstream's rules of this kind repeat on an update, besides the common ones: 'C' as of a new
  // object, 'U' against the old one, in this order. Their errors are told once more.
  virtual std::string_view repeatedMetaChecks(std::string_view subresource) const;

  // What is wrong with a name; `prefix`: it is a generateName.
  virtual api::Messages validateName(std::string_view name, bool prefix) const;

  // The name of a new object that has only the beginning of one. The base adds five random letters.
  virtual std::string generateName(std::string_view base) const;

  virtual bool hasStatus() const { return hasStatus_; }
  virtual bool hasGeneration() const { return hasGeneration_; }
  virtual bool allowCreateOnUpdate() const { return traits_.createOnUpdate; }
  virtual bool allowUnconditionalUpdate() const { return !traits_.needsVersion; }
  // Deletions with a grace period (pods): decides `grace` from the options and the object. False: deletes at once.
  virtual bool checkGracefulDelete(const Context& c, const api::Object& o, std::optional<int64_t>& grace) const {
    return false;
  }
  virtual GarbageCollection defaultGarbageCollection() const { return GarbageCollection::kBackground; }
  // A deletion answers with the object instead of a Status.
  virtual bool returnsDeletedObject() const { return traits_.returnsDeleted; }
  const MetaLooks& metaLooks() const { return traits_.looks; }

  // Whether a deletion first only marks the object, and ends it when its content is gone (namespaces). Then markHeld puts the mark, and
  // mayEnd says whether nothing is left.
  virtual bool holdsDeletions() const { return false; }
  virtual void markHeld(api::Object& o) const {}
  virtual bool mayEnd(const api::Object& o) const { return true; }

  // Fields that this endpoint resets, so that nobody comes to own them through it. The base names `status`, and of the status
  // endpoint `spec`.
  virtual std::vector<std::string_view> resetFields(std::string_view subresource) const;

  // Cells of the Table form, one for each column of the resource, each as JSON text. The base answers the name and
  // the age and leaves other columns empty ("<none>" is text too).
  virtual std::vector<std::string> cells(const api::Resource& r, const api::Object& o, WallTime now) const;

  // Puts a list in the order in which the Table form shows it. The base leaves it in the order of keys.
  virtual void orderRows(std::vector<api::ObjectPtr>& list) const {}

  // Text of a selectable field. The base follows the path through the tables.
  virtual std::string selectableField(const api::Object& o, std::string_view path) const;

  // Set once, when the catalog is made, from the resource's row.
  void describe(const api::Resource& r);

 private:
  Traits traits_;
  std::string_view metaChecks_ = "U";
  bool hasStatus_ = false;
  bool hasGeneration_ = false;
};

// As kubectl shows an age: "5s", "2m10s", "3h", "5d"; "<unknown>" for no time.
std::string age(const codec::Time& since, WallTime now);
// A cell that holds text.
std::string textCell(std::string_view text);

// Helpers for strategies: whether the part named `field` ("spec") of both objects is equal; copying it over.
bool samePart(const api::Object& a, const api::Object& b, std::string_view field);
void copyPart(api::Object& to, const api::Object& from, std::string_view field);
void clearPart(api::Object& o, std::string_view field);

}  // namespace km::registry
