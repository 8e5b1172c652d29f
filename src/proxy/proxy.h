// Proxy: keeps this node's nftables as the cluster's services and endpoints want it (kube-proxy, mode nftables).
//
// Changes are gathered: one sync runs at a time, the next starts minSyncPeriod after the last one began, at once when it
// has been quiet. A sync is one transaction with what differs; after a failure the whole table is made anew.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "client/informer.h"

namespace km::proxy {

struct Options {
  std::string nodeName;
  std::vector<std::string> nodeIps;  // where node ports answer; empty: every local address but loopback
  std::string clusterCidr;           // comma-separated; empty: no masquerading of traffic to cluster IPs
  std::string tableName = "km-proxy";
  bool masqueradeAll = false;
  bool masqueradePods = false;       // what pods send out of clusterCidr, as a CNI plugin's ipMasq would, but not between nodes
  Duration minSyncPeriod = std::chrono::milliseconds(200);
};

class Proxy {
 public:
  // All must outlive the proxy. Informers of Services and EndpointSlices are made here: make the Proxy before the
  // factory's start(), or start the factory again.
  Proxy(Options options, client::InformerFactory& informers, client::WorkerPool& pool, client::Timers& timers);
  ~Proxy();  // stop()
  Proxy(const Proxy&) = delete;
  Proxy& operator=(const Proxy&) = delete;

  // Sets the sysctls (ip_forward) and begins; the first sync waits for the informers. An error: not permitted.
  Status start();
  // Waits for a sync in progress. The rules stay and serve on.
  void stop();

  // How many syncs have succeeded.
  int64_t syncs() const;

  // Removes the tables of that name. After stop().
  static Status cleanup(const std::string& tableName = "km-proxy");

 private:
  struct Core;
  std::shared_ptr<Core> core_;
};

}  // namespace km::proxy
