// The controllers of signing requests: approving (requests of kubelets for their own client certificates, by those who may), signing (approved
// requests to the four signers of kubernetes.io, as far as Options::signers has an authority) and the removal of old ones.
#pragma once

#include <memory>

#include "controllers/context.h"

namespace km::controllers::certificates {

std::unique_ptr<Controller> makeApproving(Context& context);
// Null without any authority.
std::unique_ptr<Controller> makeSigning(Context& context);
std::unique_ptr<Controller> makeCleaner(Context& context);

}  // namespace km::controllers::certificates
