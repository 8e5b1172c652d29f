// taint-eviction-controller: deletes pods that do not tolerate their node's NoExecute taints, when their time is over.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "controllers/context.h"
#include "controllers/objects.h"

namespace km::controllers::nodelifecycle {

// How long the pod may stay: nullopt without limit, 0 not at all. Pure.
std::optional<Duration> toleratedTime(const Pod& pod, const std::vector<api::core_v1::Taint>& taints);

std::unique_ptr<Controller> makeTaintEviction(Context& context);

}  // namespace km::controllers::nodelifecycle
