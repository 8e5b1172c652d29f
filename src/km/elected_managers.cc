#include "km/elected_managers.h"

#include <fmt/format.h>

#include <atomic>

#include "base/log.h"
#include "base/rand.h"
#include "km/data_lock.h"

namespace km {

ElectedManagers::ElectedManagers(ControlPlane& plane, ManagersOptions options, client::LeaderElection times)
    : plane_(plane), options_(std::move(options)), times_(std::move(times)) {}

ElectedManagers::~ElectedManagers() {
  stop();
}

Status ElectedManagers::start() {
  KM_TRY(checkElection(times_));
  for (bool scheduler : {false, true}) {
    client::LeaderElection election = times_;
    election.name = scheduler ? "kube-scheduler" : "kube-controller-manager";
    election.identity = fmt::format("{}_{}", hostName(), randomUuid());
    election.releaseOnStop = true;
    ManagersOptions options = options_;
    options.runControllers = !scheduler;
    options.runScheduler = scheduler;
    candidates_.emplace_back([this, election, options](std::stop_token stop) { campaign(stop, election, options); });
  }
  return {};
}

void ElectedManagers::campaign(std::stop_token stop, client::LeaderElection election, ManagersOptions options) {
  authn::UserInfo user;
  user.name = "system:" + election.name;
  user.groups = {std::string(authn::kAllAuthenticated)};
  auto client = plane_.api().localClient(std::move(user), "leader-election");
  client::LeaderCallbacks callbacks;
  callbacks.onStartedLeading = [&](std::stop_token asked) {
    logInfo("Became the leader", {{"lease", election.name}});
    Managers parts(plane_, options);
    if (Status s = parts.start(); !s.ok()) KM_LOG(ERROR, "{} cannot start: {}", election.name, s.message());
    std::atomic<bool> ended = false;
    std::stop_callback wake(asked, [&] {
      ended = true;
      ended.notify_all();
    });
    ended.wait(false);
    parts.stop();
    if (!stop.stop_requested()) KM_LOG(WARNING, "{}: the lead is lost", election.name);
  };
  callbacks.onNewLeader = [&](const std::string& who) {
    logInfo("New leader", {{"lease", election.name}, {"identity", who}});
  };
  while (!stop.stop_requested()) {
    client::LeaderElector elector(*client, election, callbacks);
    elector.run(stop);
  }
}

void ElectedManagers::stop() {
  for (std::jthread& c : candidates_) c.request_stop();
  for (std::jthread& c : candidates_) {
    if (c.joinable()) c.join();
  }
  candidates_.clear();
}

}  // namespace km
