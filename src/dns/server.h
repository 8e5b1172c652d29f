// dns::Server: the cluster's name server. Answers for the cluster domain from informers, sends everything else on.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "async/loop.h"
#include "base/clock.h"
#include "base/status.h"
#include "client/informer.h"

namespace km::dns {

struct Options {
  std::vector<std::string> listenAddresses = {""};  // "" all addresses
  int port = 53;                                    // 0: any, the same for UDP and TCP of an address
  std::string clusterDomain = "cluster.local";
  std::vector<std::string> upstreams;               // "8.8.8.8" or "8.8.8.8:53", "[::1]:53"; tried in order
  bool upstreamsFromResolvConf = true;              // when `upstreams` is empty: the host's /etc/resolv.conf
  Duration upstreamTimeout = std::chrono::seconds(2);
};

class Server {
 public:
  // All must outlive the server. Informers of Services and EndpointSlices are made here: before the factory's start(),
  // or start the factory again.
  Server(Options options, client::InformerFactory& informers, async::Loop& loop);
  ~Server();  // stop()
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Binds and serves on the loop; from any thread but the loop's. SERVFAIL is the answer until the informers have synced.
  Status start();
  // From any thread but the loop's; the loop must run still.
  void stop();
  int port() const;  // of the first address

 private:
  struct Core;
  std::shared_ptr<Core> core_;
};

}  // namespace km::dns
