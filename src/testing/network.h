// Network: how the parts of the played cluster reach its API server. Calls and answers take time and overtake each other; requests and answers
// are lost; watches lag, break, or are told that their history is gone. An API server that stops or is killed is a broken connection, and nobody listens
// until the next one serves.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "authn/user.h"
#include "client/client.h"
#include "testing/threads.h"

namespace km::testing {

struct NetworkFaults {
  Duration latency = std::chrono::microseconds(200);  // one way, at most
  uint32_t slowOneIn = 0;                             // of calls: one way takes up to `slow`
  Duration slow{0};
  uint32_t loseRequestOneIn = 0, loseAnswerOneIn = 0;
  uint32_t lagWatchOneIn = 0;  // of events: it and what follows come up to `lag` later
  Duration lag{0};
  uint32_t breakWatchOneIn = 0, expireWatchOneIn = 0;  // of events
};

// A call whose sender never learned what became of it, though it may have happened.
struct LostCall {
  std::string agent, verb;
  client::Target target;
  client::ObjectPtr object;  // of writes with a body
};

class Network {
 public:
  using Connect = std::function<std::unique_ptr<client::Client>(const authn::UserInfo& user, const std::string& agent)>;

  Network();
  ~Network();
  void setFaults(const NetworkFaults& faults);
  void onLost(std::function<void(const LostCall&)> tell);

  // By a thread of the API server: takes calls from now on, on threads of its group.
  void serve(Connect connect);
  // By a thread of the same group: takes no more, ends what it has; calls under way may end, as with a server's grace. Blocks. What is returned
  // must outlive the API server.
  std::shared_ptr<void> stopServing();
  // The API server's group was killed.
  void serverKilled();
  bool isServed() const;

  // The connection of one process of the played world; made and destroyed in its group.
  class Process;
  std::unique_ptr<Process> process(std::string name);
  // The group of a process was killed.
  void processKilled(Group group);
  // Breaks one watch in `oneIn`, now.
  void breakWatches(uint32_t oneIn);

  struct State;

 private:
  std::shared_ptr<State> state_;
};

class Network::Process {
 public:
  ~Process();  // all clients must be gone
  std::unique_ptr<client::Client> client(authn::UserInfo user, std::string agent);
  struct Link;

 private:
  friend class Network;
  explicit Process(std::shared_ptr<Link> link) : link_(std::move(link)) {}
  std::shared_ptr<Link> link_;
};

}  // namespace km::testing
