// pod-garbage-collector-controller: deletes pods that ended when there are too many, pods of nodes that are gone, pods that
// were deleted before they were scheduled, and pods that hang on nodes out of service.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "controllers/context.h"
#include "controllers/objects.h"

namespace km::controllers::podgc {

// The ended pods over the threshold, oldest first, evicted ones before others. Pure.
std::vector<PodPtr> surplus(const std::vector<PodPtr>& pods, int threshold);

std::unique_ptr<Controller> make(Context& context);

}  // namespace km::controllers::podgc
