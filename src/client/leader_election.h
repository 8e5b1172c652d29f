// LeaderElector: at most one of several processes leads, by a Lease of the API server. Upstream's rules: a candidate takes a
// Lease that is free or was not renewed for leaseDuration since this candidate saw it change (clocks of different
// machines are never compared); the leader renews every retryPeriod and gives up leading when it could not for
// renewDeadline. Timings: leaseDuration > renewDeadline > retryPeriod * 1.2.
#pragma once

#include <functional>
#include <memory>
#include <stop_token>
#include <string>

#include "base/clock.h"
#include "client/client.h"

namespace km::client {

struct LeaderElection {
  std::string ns = "kube-system";
  std::string name;
  std::string identity;  // unique: host name and a random part
  Duration leaseDuration = std::chrono::seconds(15);
  Duration renewDeadline = std::chrono::seconds(10);
  Duration retryPeriod = std::chrono::seconds(2);
  bool releaseOnStop = false;  // hand the Lease back at the end, so that another takes it at once
};

struct LeaderCallbacks {
  // On a thread of its own; the token asks it to stop when leadership is lost or the run ends. run() waits for its end.
  std::function<void(std::stop_token)> onStartedLeading;
  // After onStartedLeading has returned; also when this process never led, as upstream does.
  std::function<void()> onStoppedLeading;
  // The holder seen in the Lease changed.
  std::function<void(const std::string& identity)> onNewLeader;
};

class LeaderElector {
 public:
  LeaderElector(Client& client, LeaderElection options, LeaderCallbacks callbacks, Clock& clock = Clock::system());
  ~LeaderElector();

  // Waits to lead, leads, and returns when leadership is lost or `stop` is asked for. On a thread of the caller's.
  void run(std::stop_token stop);
  bool isLeader() const;        // any thread
  std::string leader() const;   // the holder last seen
  // For health checks: a leader whose Lease ran out more than `tolerance` ago without noticing.
  bool isStale(Duration tolerance) const;

  // One attempt to take or renew the Lease: true if this process holds it now. For run() and tests.
  bool tryAcquireOrRenew();
  bool release();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace km::client
