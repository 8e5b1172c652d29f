#include <type_traits>

#include "base/files.h"
#include "base/flags.h"
#include "base/log.h"
#include "km/api_connection.h"
#include "km/commands.h"
#include "km/data_lock.h"
#include "km/leader_flags.h"
#include "km/part_server.h"
#include "scheduler/scheduler.h"

namespace km {

namespace {

// What the file says of leader election goes to `leader`.
Result<scheduler::Config> readConfig(const std::string& file, LeaderFlags& leader) {
  KM_ASSIGN(std::string text, readFile(file));
  KM_ASSIGN(scheduler::Config c, scheduler::parseConfig(text));
  if (c.leaderElect) leader.elect = *c.leaderElect;
  auto take = [](auto& to, const auto& from) {
    if (from != std::remove_cvref_t<decltype(from)>{}) to = from;
  };
  take(leader.election.leaseDuration, c.leaseDuration);
  take(leader.election.renewDeadline, c.renewDeadline);
  take(leader.election.retryPeriod, c.retryPeriod);
  take(leader.election.name, c.leaseName);
  take(leader.election.ns, c.leaseNamespace);
  return c;
}

}  // namespace

// What runs, in the words of KubeSchedulerConfiguration.
static std::string configzOf(const scheduler::Config& c, const LeaderFlags& leader, const std::string& kubeconfig) {
  using codec::Value;
  Value all = Value::object(), election = Value::object(), connection = Value::object(), profiles = Value::list();
  electionConfig(leader, election);
  connection.set("kubeconfig", Value::string(kubeconfig));
  for (const auto& p : c.profiles) {
    Value profile = Value::object();
    profile.set("schedulerName", Value::string(p.schedulerName));
    profile.set("percentageOfNodesToScore", Value::integer(p.percentageOfNodesToScore));
    profiles.push(std::move(profile));
  }
  all.set("leaderElection", std::move(election));
  all.set("clientConnection", std::move(connection));
  all.set("profiles", std::move(profiles));
  all.set("podInitialBackoffSeconds", Value::integer(std::chrono::duration_cast<std::chrono::seconds>(c.backoff.initial).count()));
  all.set("podMaxBackoffSeconds", Value::integer(std::chrono::duration_cast<std::chrono::seconds>(c.backoff.max).count()));
  Value out = Value::object();
  out.set("componentconfig", std::move(all));
  return out.json();
}

int runScheduler(ServerCall& call) {
  std::string kubeconfig, master, config;
  LeaderFlags leader("kube-scheduler");
  leader.election.releaseOnStop = true;
  FlagSet flags(std::string(call.server->name));
  flags.add(&kubeconfig, "kubeconfig",
            "Path to kubeconfig `file` with authorization and master location information.");
  flags.add(&master, "master",
            "The address of the Kubernetes API server (overrides any value in kubeconfig)");
  flags.add(&config, "config", "The path to the configuration `file`.");
  PartServerFlags serving{10259};
  leader.addTo(flags);
  serving.addTo(flags);
  if (auto done = parseServerFlags(call, flags)) return *done;
  if (!flags.args().empty()) return finish(call, errors::badRequest("scheduler takes no arguments"));
  scheduler::Config settings;
  if (!config.empty()) {
    auto read = readConfig(config, leader);
    if (!read.ok()) return finish(call, read.status());
    settings = std::move(*read);
    if (!settings.kubeconfig.empty()) kubeconfig = settings.kubeconfig;
  }
  auto api = ApiConnection::open(kubeconfig, master, "kube-scheduler", 8);
  if (!api.ok()) return finish(call, api.status());
  ApiConnection& a = **api;
  auto server = PartServer::secure(serving, *a.client, a.loops, healthOf(leader), {{"/configz", configzOf(settings, leader, kubeconfig)}});
  if (!server.ok()) return finish(call, server.status());
  scheduler::Scheduler scheduler(*a.client, *a.informers, a.pool, a.timers, hostName(), std::move(settings));
  a.informers->start();
  Status ended = runElected(
      *a.client, leader, a.loops.at(0),
      [&]() -> Status {
        scheduler.start();
        a.informers->start();
        return {};
      },
      [&] { scheduler.stop(); });
  return finish(call, ended);
}

}  // namespace km
