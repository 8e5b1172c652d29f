// What the rows of servers.cc run.
#pragma once

#include "km/server_table.h"

namespace km {

int runApiServer(ServerCall& call);
int runKubelet(ServerCall& call);
int runServer(ServerCall& call);
int runUp(ServerCall& call);
int runDown(ServerCall& call);
int runReset(ServerCall& call);
int runStatus(ServerCall& call);
int runProxy(ServerCall& call);
int runDns(ServerCall& call);
int runAgent(ServerCall& call);
int runHollowNode(ServerCall& call);
int runControllerManager(ServerCall& call);
int runScheduler(ServerCall& call);
int runKubeconfig(ServerCall& call);
int runImages(ServerCall& call);
int runInstall(ServerCall& call);
int runCompletion(ServerCall& call);
int runBackup(ServerCall& call);
int runRestore(ServerCall& call);
int runStore(ServerCall& call);

}  // namespace km
