// ElectedManagers: the controllers and the scheduler of one of several servers on one store. Each of the two works
// where its Lease is held, kube-controller-manager and kube-scheduler, so that they may be on different servers, and
// separate processes of them may be among the candidates. Where a lead is lost the part ends and the server, which
// goes on serving, is a candidate again.
#pragma once

#include <memory>
#include <thread>
#include <vector>

#include "km/leader_flags.h"
#include "km/managers.h"

namespace km {

class ElectedManagers {
 public:
  ElectedManagers(ControlPlane& plane, ManagersOptions options, client::LeaderElection times);
  ~ElectedManagers();  // stop()
  Status start();
  // Gives the Leases back, so that others take over at once. Blocks.
  void stop();

 private:
  void campaign(std::stop_token stop, client::LeaderElection election, ManagersOptions options);

  ControlPlane& plane_;
  ManagersOptions options_;
  client::LeaderElection times_;
  std::vector<std::jthread> candidates_;
};

}  // namespace km
