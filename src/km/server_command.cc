#include "base/flags.h"
#include "km/commands.h"
#include "km/managers.h"

namespace km {

int runServer(ServerCall& call) {
  ControlPlaneOptions options;
  ManagersOptions managers;
  FlagSet flags(std::string(call.server->name));
  options.addTo(flags);
  managers.addTo(flags);
  if (auto done = parseServerFlags(call, flags)) return *done;
  if (!flags.args().empty()) return finish(call, errors::badRequest("server takes no arguments"));
  auto plane = ControlPlane::start(std::move(options));
  if (!plane.ok()) return finish(call, plane.status());
  Managers parts(**plane, std::move(managers));
  if (Status s = parts.start(); !s.ok()) return finish(call, s);
  waitForEnd((*plane)->loops().at(0));
  parts.stop();
  (*plane)->stop();
  return 0;
}

}  // namespace km
