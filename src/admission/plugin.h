// Admission: editing or refusing a write before it is stored. Plugins run in upstream's order
// (../shared/recorded/admission.tsv), all mutating ones before any validating one.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "api/object.h"
#include "api/resource.h"
#include "authn/user.h"
#include "base/result.h"

namespace km::admission {

enum class Operation { kCreate, kUpdate, kDelete, kConnect };

// One write. `object` is null for a delete, `old` for a create. Plugins that wait keep the attributes; `call` keeps what the
// views and pointers are of.
struct Attributes {
  Operation operation = Operation::kCreate;
  const api::Resource* resource = nullptr;
  std::string_view subresource;
  std::string_view ns;
  std::string_view name;
  api::MutableObject object;  // mutating plugins may change it; validating ones must not
  api::ObjectPtr old;
  const authn::UserInfo* user = nullptr;
  bool dryRun = false;
  std::vector<std::string>* warnings = nullptr;
  std::shared_ptr<const void> call;

  bool isFor(std::string_view group, std::string_view resourceName) const {
    return resource->group == group && resource->name == resourceName;
  }
};

using AttributesPtr = std::shared_ptr<Attributes>;
using Done = std::function<void(Status)>;

class Plugin {
 public:
  virtual ~Plugin() = default;
  virtual std::string_view name() const = 0;
  // A refusal is a complete Status (usually errors::forbidden of the resource and name).
  virtual Status mutate(Attributes& a) const { return {}; }
  virtual Status validate(const Attributes& a) const { return {}; }

  // A plugin that waits for an answer (of the store, of another server) says of which writes, and is then asked through these. `done`
  // is called once, before the call returns or later on a thread that may work (not the store's committer).
  virtual bool waits(const Attributes& a) const { return false; }
  virtual void mutateLater(const AttributesPtr& a, Done done) const { done({}); }
  virtual void validateLater(const AttributesPtr& a, Done done) const { done({}); }
};

// The plugins of one server, in order.
class Chain {
 public:
  void add(std::unique_ptr<Plugin> plugin) { plugins_.push_back(std::move(plugin)); }
  // The first refusal ends the chain. `done` is called before these return unless a plugin waits.
  void mutate(const AttributesPtr& a, Done done) const { mutateFrom(0, a, std::move(done)); }
  void validate(const AttributesPtr& a, Done done) const { validateFrom(0, a, std::move(done)); }

 private:
  void mutateFrom(size_t first, const AttributesPtr& a, Done done) const;
  void validateFrom(size_t first, const AttributesPtr& a, Done done) const;

  std::vector<std::unique_ptr<Plugin>> plugins_;
};

}  // namespace km::admission
