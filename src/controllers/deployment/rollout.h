// One round of work on one Deployment: reads nothing but what it is given, writes through the client.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "client/client.h"
#include "client/events.h"
#include "controllers/deployment/core.h"

namespace km::controllers::deployment {

class Rollout {
 public:
  // `d` is this round's own copy. `sets`: those that it controls. `pods`: theirs, by the set's uid.
  Rollout(client::Client& client, const client::EventRecorder& recorder, WallTime now, Deployment& d, RsList sets,
          std::function<std::vector<PodPtr>(const ReplicaSet& rs)> pods)
      : client_(client), recorder_(recorder), now_(now), d_(d), sets_(std::move(sets)), pods_(std::move(pods)) {}

  Status run();
  // When the round ended without a change: when to look again.
  std::optional<Duration> again() const { return again_; }

 private:
  Status findSets(bool create);
  Status syncExisting(const RsPtr& existing, int64_t revision);
  Status createNewSet(int64_t revision);
  Status afterCollision(const ReplicaSet& wanted, const Status& why, bool& mine);
  Status checkPaused();
  Status syncOnly(bool scaleToo);
  Status scale();
  Status rolling();
  Status recreate();
  Status reconcileOld(bool& scaled);
  Status scaleSet(RsPtr& rs, int32_t size, bool force, bool* scaled = nullptr);
  Status cleanUp();
  Status writeStatus(DeploymentStatus next);
  Status syncRolloutStatus();
  Status updateOwnStatus();
  bool oldPodsRun() const;
  RsList all() const;

  client::Client& client_;
  const client::EventRecorder& recorder_;
  WallTime now_;
  Deployment& d_;
  RsList sets_;
  std::function<std::vector<PodPtr>(const ReplicaSet& rs)> pods_;
  RsPtr new_;
  RsList old_;
  std::optional<Duration> again_;
};

}  // namespace km::controllers::deployment
