// root-ca-certificate-publisher-controller: keeps the ConfigMap kube-root-ca.crt in each namespace.
#pragma once

#include <memory>

#include "controllers/context.h"

namespace km::controllers::rootca {

// Null without Options::rootCa.
std::unique_ptr<Controller> make(Context& context);

}  // namespace km::controllers::rootca
