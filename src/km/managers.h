// Managers: the parts of the control plane that react: controllers and scheduler, each as its own identity,
// over local clients.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "client/informer.h"
#include "client/timers.h"
#include "controllers/controller_manager.h"
#include "km/control_plane.h"
#include "scheduler/scheduler.h"

namespace km {

struct ManagersOptions {
  std::vector<std::string> controllers = {"*"};
  controllers::Options options;  // what the control plane knows is filled in at the start
  bool runControllers = true, runScheduler = true;
  ManagersOptions() { options.clusterCidr = "10.244.0.0/16"; }
  void addTo(FlagSet& flags);
};

// Makes the tokens of service accounts' Secrets (controllers::Options::makeLegacyToken), signed with the key.
std::function<Result<std::string>(std::string_view ns, std::string_view account, std::string_view accountUid,
                                  std::string_view secret, std::string_view secretUid)>
legacyTokenMaker(pki::Key key);

class Managers {
 public:
  Managers(ControlPlane& plane, ManagersOptions options);
  ~Managers();  // stop()
  Status start();
  void stop();

  // The informers that all parts of this process share.
  client::InformerFactory& informers() { return *informers_; }
  client::Timers& timers() { return timers_; }
  client::WorkerPool& pool() { return pool_; }

 private:
  Result<controllers::Options> controllerOptions();

  ControlPlane& plane_;
  ManagersOptions options_;
  client::Timers timers_;
  client::WorkerPool
      pool_;  // the server's watches are pumped on a pool of their own: work here may block on them
  std::unique_ptr<client::Client> controllerClient_, schedulerClient_;
  std::unique_ptr<client::InformerFactory> informers_;
  std::unique_ptr<controllers::ControllerManager> controllers_;
  std::unique_ptr<scheduler::Scheduler> scheduler_;
  bool stopped_ = false;
};

}  // namespace km
