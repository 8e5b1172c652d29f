#include "km/leader_flags.h"

#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "base/duration.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/rand.h"
#include "km/control_plane.h"
#include "km/data_lock.h"

namespace km {

void LeaderFlags::addTo(FlagSet& flags) {
  addTimesTo(flags);
  flags.add(&election.name, "leader-elect-resource-name", "The `name` of the Lease that is used for locking during leader election.");
  flags.add(&election.ns, "leader-elect-resource-namespace", "The `namespace` of the Lease that is used for locking during leader election.");
}

void LeaderFlags::addTimesTo(FlagSet& flags) {
  flags.add(&elect, "leader-elect", "Start a leader election client and gain leadership before executing the main loop. Enable this when running replicated components for high availability.");
  flags.add(&election.leaseDuration, "leader-elect-lease-duration", "The `duration` that non-leader candidates will wait after observing a leadership renewal until attempting to acquire leadership.");
  flags.add(&election.renewDeadline, "leader-elect-renew-deadline", "The `interval` between attempts by the acting master to renew a leadership slot before it stops leading.");
  flags.add(&election.retryPeriod, "leader-elect-retry-period", "The `duration` the clients should wait between attempting acquisition and renewal of a leadership.");
}

void electionConfig(const LeaderFlags& f, codec::Value& out) {
  using codec::Value;
  out.set("leaderElect", Value::boolean(f.elect));
  out.set("leaseDuration", Value::string(formatDuration(f.election.leaseDuration)));
  out.set("renewDeadline", Value::string(formatDuration(f.election.renewDeadline)));
  out.set("retryPeriod", Value::string(formatDuration(f.election.retryPeriod)));
  out.set("resourceLock", Value::string("leases"));
  out.set("resourceName", Value::string(f.election.name));
  out.set("resourceNamespace", Value::string(f.election.ns));
}

std::vector<HealthCheck> healthOf(const LeaderFlags& flags) {
  if (!flags.elect) return {};
  static constexpr auto kTolerance = std::chrono::seconds(20);
  auto check = [candidate = flags.candidate, name = flags.election.name]() -> Status {
    std::lock_guard lock(candidate->mutex);
    if (candidate->elector == nullptr || !candidate->elector->isStale(kTolerance)) return {};
    return errors::failed("failed election to renew leadership on lease " + name);
  };
  return {{"leaderElection", std::move(check)}};
}

Status checkElection(const client::LeaderElection& election) {
  if (election.leaseDuration <= election.renewDeadline) return errors::badRequest("leaseDuration must be greater than renewDeadline");
  if (election.renewDeadline * 10 <= election.retryPeriod * 12) return errors::badRequest("renewDeadline must be greater than retryPeriod*JitterFactor");
  return {};
}

Status runElected(client::Client& client, const LeaderFlags& flags, async::Loop& loop, const std::function<Status()>& start,
                  const std::function<void()>& stop) {
  if (!flags.elect) {
    KM_TRY(start());
    waitForEnd(loop);
    stop();
    return {};
  }
  client::LeaderElection election = flags.election;
  KM_TRY(checkElection(election));
  election.identity = fmt::format("{}_{}", hostName(), randomUuid());
  std::atomic<bool> leads = false;
  Gauge& status = MetricRegistry::process()
                      .gauge("leader_election_master_status",
                             "[ALPHA] Gauge of if the reporting system is master of the relevant lease, 0 indicates backup, 1 indicates master.", {"name"})
                      .with({election.name});
  client::LeaderCallbacks callbacks;
  callbacks.onStartedLeading = [&](std::stop_token asked) {
    logInfo("Became the leader", {{"lease", election.name}, {"identity", election.identity}});
    leads = true;
    status.set(1);
    if (Status s = start(); !s.ok()) {
      KM_LOG(ERROR, "cannot start: {}", s.message());
      ::_exit(1);
    }
    std::atomic<bool> ended = false;
    std::stop_callback wake(asked, [&] {
      ended = true;
      ended.notify_all();
    });
    ended.wait(false);
  };
  callbacks.onNewLeader = [](const std::string& who) { logInfo("New leader", {{"identity", who}}); };
  client::LeaderElector elector(client, election, std::move(callbacks));
  auto watched = [&flags](const client::LeaderElector* e) {
    std::lock_guard lock(flags.candidate->mutex);
    flags.candidate->elector = e;
  };
  watched(&elector);
  std::jthread candidate([&](std::stop_token asked) {
    elector.run(asked);
    if (asked.stop_requested()) return;
    KM_LOG(ERROR, "leader election lost");
    ::_exit(1);
  });
  waitForEnd(loop);
  if (leads) stop();
  candidate.request_stop();
  candidate.join();
  watched(nullptr);
  return {};
}

}  // namespace km
