// Leader election of the parts of a control plane that may run several times: the flags, and a run that works only while it leads.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "async/loop.h"
#include "base/flags.h"
#include "client/leader_election.h"
#include "codec/value.h"
#include "km/part_server.h"

namespace km {

struct LeaderFlags {
  bool elect = true;
  client::LeaderElection election;
  // The candidate of this process while there is one, for its health.
  struct Candidate {
    std::mutex mutex;
    const client::LeaderElector* elector = nullptr;
  };
  std::shared_ptr<Candidate> candidate = std::make_shared<Candidate>();

  explicit LeaderFlags(std::string leaseName) { election.name = std::move(leaseName); }
  // Upstream's --leader-elect and its kin; the second without those that name the Lease.
  void addTo(FlagSet& flags);
  void addTimesTo(FlagSet& flags);
};

// The check "leaderElection", which fails when this process leads and its Lease could not be renewed for twenty seconds beyond its life; nothing
// without election.
std::vector<HealthCheck> healthOf(const LeaderFlags& flags);

// For /configz: the fields of LeaderElectionConfiguration.
void electionConfig(const LeaderFlags& flags, codec::Value& out);

// Whether the times of the election go together.
Status checkElection(const client::LeaderElection& election);

// Calls `start` once this process leads (at once without election) and `stop` at SIGTERM or SIGINT, after which it returns. A lead that is
// lost ends the process with code 1, as upstream does: another leads, and what this one has begun must not go on. Blocks; not on the loop.
Status runElected(client::Client& client, const LeaderFlags& flags, async::Loop& loop, const std::function<Status()>& start,
                  const std::function<void()>& stop);

}  // namespace km
