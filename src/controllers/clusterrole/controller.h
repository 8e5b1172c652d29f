// Fills the rules of cluster roles that gather those of others (aggregationRule): admin, edit, view, and whatever users add.
#pragma once

#include "controllers/context.h"

namespace km::controllers::clusterrole {

std::unique_ptr<Controller> make(Context& context);

}  // namespace km::controllers::clusterrole
