// The controllers of kube-controller-manager: one table, one row each.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "controllers/context.h"

namespace km::controllers {

struct ControllerRow {
  std::string_view name;   // as --controllers names it: "replicaset-controller"
  std::string_view alias;  // the older name, which --controllers also takes; may be empty
  std::string_view account;  // the service account of kube-system that it is; empty: the manager itself
  std::unique_ptr<Controller> (*make)(Context& context);
  bool defaultOn = true;
};

// In the order of names.
std::span<const ControllerRow> controllerTable();
const ControllerRow* findController(std::string_view nameOrAlias);

}  // namespace km::controllers
