#include "kubelet/hooks.h"

#include <fmt/format.h>

#include "http/client.h"
#include "kubelet/probes.h"

namespace km::kubelet {

Result<int> portOf(const codec::IntOrString& port, const v1::Container& c) {
  int n = port.number;
  if (port.isString) {
    n = 0;
    for (const auto& p : c.ports) {
      if (p.name == port.text) n = p.containerPort;
    }
    if (n == 0) n = std::atoi(port.text.str().c_str());
  }
  if (n < 1 || n > 65535) return errors::failed(fmt::format("invalid port number: {}", port.str()));
  return n;
}

Status runHook(const HookContext& ctx, const v1::LifecycleHandler& handler, Duration timeout) {
  if (ctx.node->options.hollow && !handler.sleep) return {};
  if (handler.exec) {
    std::vector<std::string> command;
    for (const auto& a : handler.exec->command) command.push_back(a.str());
    auto r = ctx.node->runtime->execSync(ctx.id, command, std::chrono::duration_cast<std::chrono::seconds>(timeout).count());
    if (!r.ok()) return r.status();
    if (r->exitCode != 0) return errors::failed(fmt::format("command '{}' exited with {}: {}", command.empty() ? "" : command[0], r->exitCode, r->stderr.view()));
    return {};
  }
  if (handler.sleep) {
    Duration time = std::min<Duration>(std::chrono::seconds(handler.sleep->seconds), timeout);
    if (!ctx.node->pool->sleep(time)) return Status(kStopping, "ServiceUnavailable", "the kubelet is stopping");
    return {};
  }
  std::string host = ctx.podIps.empty() ? "" : ctx.podIps[0];
  if (handler.httpGet) return ctx.node->probes->httpOnce(*handler.httpGet, *ctx.container, host, std::min<Duration>(timeout, std::chrono::minutes(2)));
  return errors::failed("invalid handler: " + (handler.tcpSocket ? std::string("tcpSocket") : std::string("none")));
}

}  // namespace km::kubelet
