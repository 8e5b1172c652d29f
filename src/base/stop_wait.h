// A pause that ends early when a stop is asked for.
#pragma once

#include <stop_token>

#include "base/clock.h"

namespace km {

// Waits so long on the machine's clock. False: a stop was asked for.
bool waitFor(std::stop_token stop, Duration time);

}  // namespace km
