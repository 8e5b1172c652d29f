// What the rows of servers.cc run.
#pragma once

#include "km/server_table.h"

namespace km {

int runApiServer(ServerCall& call);
int runProxy(ServerCall& call);
int runDns(ServerCall& call);

}  // namespace km
