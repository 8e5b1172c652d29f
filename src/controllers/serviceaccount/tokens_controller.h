// serviceaccount-token-controller: fills Secrets of type kubernetes.io/service-account-token and deletes those whose account
// is gone.
#pragma once

#include <memory>

#include "controllers/context.h"

namespace km::controllers::serviceaccount {

// Null without Options::makeLegacyToken.
std::unique_ptr<Controller> makeTokens(Context& context);

}  // namespace km::controllers::serviceaccount
