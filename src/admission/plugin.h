// Admission: editing or refusing a write before it is stored. Plugins run in upstream's order
// (../shared/recorded/admission.tsv), all mutating ones before any validating one.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "api/object.h"
#include "api/resource.h"
#include "authn/user.h"
#include "base/result.h"

namespace km::admission {

enum class Operation { kCreate, kUpdate, kDelete, kConnect };

// One write. `object` is null for a delete, `old` for a create.
struct Attributes {
  Operation operation = Operation::kCreate;
  const api::Resource* resource = nullptr;
  std::string_view subresource;
  std::string_view ns;
  std::string_view name;
  api::Object* object = nullptr;  // mutating plugins may change it; validating ones must not
  const api::Object* old = nullptr;
  const authn::UserInfo* user = nullptr;
  bool dryRun = false;
  std::vector<std::string>* warnings = nullptr;

  bool isFor(std::string_view group, std::string_view resourceName) const {
    return resource->group == group && resource->name == resourceName;
  }
};

class Plugin {
 public:
  virtual ~Plugin() = default;
  virtual std::string_view name() const = 0;
  // A refusal is a complete Status (usually errors::forbidden of the resource and name).
  virtual Status mutate(Attributes& a) const { return {}; }
  virtual Status validate(const Attributes& a) const { return {}; }
};

// The plugins of one server, in order.
class Chain {
 public:
  void add(std::unique_ptr<Plugin> plugin) { plugins_.push_back(std::move(plugin)); }
  Status mutate(Attributes& a) const;
  Status validate(const Attributes& a) const;

 private:
  std::vector<std::unique_ptr<Plugin>> plugins_;
};

}  // namespace km::admission
