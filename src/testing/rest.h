// Rest: whether the cluster has come to what its objects ask for, once nothing goes wrong any more.
#pragma once

#include <string>

#include "testing/cluster.h"

namespace km::testing {

// The first thing that is not as it should be; empty: all is at rest.
std::string unrest(Cluster& cluster);
// What caches and runtimes have that the store has not, or the other way round. Of a cluster at rest.
std::string difference(Cluster& cluster);

}  // namespace km::testing
