// The resource quota controller: counts what a namespace uses, where admission cannot know it: of a new quota, and when something goes.
#pragma once

#include <memory>

#include "controllers/context.h"

namespace km::controllers::resourcequota {

std::unique_ptr<Controller> make(Context& context);

}  // namespace km::controllers::resourcequota
