// One call on a resource, after its identity is known: what both transports hand to Operations.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apiserver/resources.h"
#include "authn/user.h"
#include "base/clock.h"

namespace km::apiserver {

enum class FieldValidation { kIgnore, kWarn, kStrict };

struct Call {
  authn::UserInfo user;
  const Served* served = nullptr;
  std::string verb;
  std::string ns, name, subresource;
  std::string userAgent;

  // Options of writes.
  bool dryRun = false;
  std::string fieldManager;
  FieldValidation fieldValidation = FieldValidation::kWarn;
  bool force = false;
  std::shared_ptr<const std::string> body;  // as JSON, if it names lists that are empty

  // Options of list and watch.
  std::string labelSelector, fieldSelector, resourceVersion, resourceVersionMatch, continueToken;
  int64_t limit = 0;
  bool bookmarks = false;
  std::optional<bool> sendInitialEvents;
  std::optional<int64_t> timeoutSeconds;

  // Collected on the way: Warning headers.
  std::vector<std::string> warnings;

  GroupResource groupResource() const { return {served->resource->group, served->resource->name}; }
  // The manager of the fields a write sets: as given, else the first part of the user agent.
  std::string manager() const;
};

}  // namespace km::apiserver
