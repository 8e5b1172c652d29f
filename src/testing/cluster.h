// Cluster: a whole cluster in this process: disk, network, and the processes on both sides of it.
#pragma once

#include <memory>
#include <vector>

#include "testing/observer.h"
#include "testing/processes.h"

namespace km::testing {

class Cluster {
 public:
  explicit Cluster(int nodes);
  // Starts everything and waits until the nodes are ready and nothing much happens any more.
  void boot();
  // Starts what does not run.
  void startAll();
  void killApiServer();

  Disk disk;
  Network network;
  Observer observer;
  ApiServerProcess api;
  ManagerProcess managers;
  SchedulerProcess scheduler;
  std::vector<std::unique_ptr<NodeProcess>> nodes;
  std::vector<Process*> processes;  // all of the above

  // The administrator's connection, of the world's threads.
  client::Client& admin() { return *admin_; }

 private:
  std::unique_ptr<Network::Process> adminProcess_;
  std::unique_ptr<client::Client> admin_;
};

}  // namespace km::testing
