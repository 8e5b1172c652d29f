#include "base/flags.h"
#include "km/commands.h"
#include "km/elected_managers.h"
#include "km/managers.h"

namespace km {

int runServer(ServerCall& call) {
  ControlPlaneOptions options;
  ManagersOptions managers;
  LeaderFlags leader("");
  FlagSet flags(std::string(call.server->name));
  options.addTo(flags);
  managers.addTo(flags);
  leader.addTimesTo(flags);
  if (auto done = parseServerFlags(call, flags)) return *done;
  if (!flags.args().empty()) return finish(call, errors::badRequest("server takes no arguments"));
  // On the embedded store there can be no other server.
  bool elect = flags.changed("leader-elect") ? leader.elect : !options.etcdServers.empty();
  auto plane = ControlPlane::start(std::move(options));
  if (!plane.ok()) return finish(call, plane.status());
  if (elect) {
    ElectedManagers parts(**plane, std::move(managers), leader.election);
    if (Status s = parts.start(); !s.ok()) return finish(call, s);
    (*plane)->awaitEnd();
    (*plane)->hurry();
    parts.stop();
    (*plane)->stop();
    return 0;
  }
  Managers parts(**plane, std::move(managers));
  if (Status s = parts.start(); !s.ok()) return finish(call, s);
  (*plane)->awaitEnd();
  parts.stop();
  (*plane)->stop();
  return 0;
}

}  // namespace km
