#include "base/flags.h"
#include "km/control_plane.h"
#include "km/commands.h"

namespace km {

int runApiServer(ServerCall& call) {
  ControlPlaneOptions options;
  FlagSet flags(std::string(call.server->name));
  options.addTo(flags);
  if (auto done = parseServerFlags(call, flags)) return *done;
  if (!flags.args().empty()) return finish(call, errors::badRequest("apiserver takes no arguments"));
  auto plane = ControlPlane::start(std::move(options));
  if (!plane.ok()) return finish(call, plane.status());
  (*plane)->awaitEnd();
  (*plane)->stop();
  return 0;
}

}  // namespace km
