// The flags of kube-controller-manager that set Options, for every command that runs controllers.
#pragma once

#include "base/flags.h"
#include "controllers/context.h"

namespace km::controllers {

// All but --service-cluster-ip-range, which other parts of a process have too. `options` must outlive `flags`.
void addFlags(FlagSet& flags, Options& options);

}  // namespace km::controllers
