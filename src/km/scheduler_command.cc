#include "base/flags.h"
#include "base/log.h"
#include "client/event_series.h"
#include "km/api_connection.h"
#include "km/commands.h"
#include "km/data_lock.h"
#include "km/leader_flags.h"
#include "scheduler/scheduler.h"

namespace km {

int runScheduler(ServerCall& call) {
  std::string kubeconfig, master, config;
  LeaderFlags leader("kube-scheduler");
  leader.election.releaseOnStop = true;
  FlagSet flags(std::string(call.server->name));
  flags.add(&kubeconfig, "kubeconfig",
            "Path to kubeconfig `file` with authorization and master location information.");
  flags.add(&master, "master",
            "The address of the Kubernetes API server (overrides any value in kubeconfig)");
  flags.add(&config, "config", "The path to the configuration `file`: not supported, use flags.");
  leader.addTo(flags);
  if (auto done = parseServerFlags(call, flags)) return *done;
  if (!flags.args().empty()) return finish(call, errors::badRequest("scheduler takes no arguments"));
  if (!config.empty()) return finish(call, errors::badRequest("--config is not supported; use flags"));
  auto api = ApiConnection::open(kubeconfig, master, "kube-scheduler", 8);
  if (!api.ok()) return finish(call, api.status());
  ApiConnection& a = **api;
  client::SeriesRecorder events(*a.client, a.pool, a.timers, "default-scheduler",
                                "default-scheduler-" + hostName());
  scheduler::Scheduler scheduler(*a.client, *a.informers, a.pool, a.timers, events);
  a.informers->start();
  Status ended = runElected(
      *a.client, leader, a.loops.at(0),
      [&]() -> Status {
        scheduler.start();
        a.informers->start();
        return {};
      },
      [&] { scheduler.stop(); });
  events.stop();
  return finish(call, ended);
}

}  // namespace km
