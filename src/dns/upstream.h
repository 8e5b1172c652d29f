// Questions for other servers, sent on verbatim. On a loop's thread only.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "async/loop.h"
#include "async/socket.h"
#include "base/clock.h"

namespace km::dns {

// The name servers of a resolv.conf's text.
std::vector<std::string> nameServers(std::string_view resolvConf);

class Upstream {
 public:
  Upstream(async::Loop& loop, std::vector<std::string> servers, Duration timeout);
  ~Upstream();

  // Sends the packet to the first server, after a timeout or failure to the next; `done` gets the answer with the packet's
  // id, or "" when no server answered. Never called within the call. A `done` still waiting at destruction is dropped.
  using Done = std::function<void(std::string)>;
  void ask(std::string packet, Done done);

 private:
  struct Exchange;
  void tryNext(const std::shared_ptr<Exchange>& x);
  void finish(const std::shared_ptr<Exchange>& x, std::string answer);
  async::Loop& loop_;
  std::vector<std::string> servers_;
  Duration timeout_;
  std::map<Exchange*, std::shared_ptr<Exchange>> open_;
};

}  // namespace km::dns
