// Invariants: what must be so at every moment, whatever breaks. Asked after every change in the store.
#pragma once

#include <map>
#include <set>
#include <string>

#include "api/types/apps_v1.h"
#include "api/types/core_v1.h"
#include "testing/cluster.h"

namespace km::testing {

class Invariants {
 public:
  // `settling`: how long after somebody changed what a controller works on it is held to what it promises; its view of the cluster may be so old.
  Invariants(Cluster& cluster, Duration settling);

  // Somebody from outside does something to the pods of this namespace (or of all): availability is not promised for a while.
  void disturbed(std::string_view ns);
  // A pod that is made to go without its kubelet's word.
  void forced(std::string_view uid) { forced_.insert(std::string(uid)); }
  void nodeDisturbed(std::string_view node) { nodesDisturbed_[std::string(node)] = playedTime(); }
  void setSettling(Duration settling) { settling_ = settling; }

 private:
  struct SetState {
    std::map<Duration, int> wanted;  // spec.replicas since then
    int lost = 0;                    // creations of pods whose outcome the controller did not learn
    Duration gone{-1};
  };
  struct DeploymentState {
    Duration changed{0};             // its spec
    std::string spec;
  };

  void onChange(const Change& c);
  void onLost(const LostCall& call);
  void checkAny(const Change& c);
  void onPod(const Change& c);
  void onPodCreated(const api::core_v1::Pod& pod);
  void onPodBound(const api::core_v1::Pod& pod);
  void onPodLeaves(const api::core_v1::Pod& before);
  void onPodRemoved(const api::core_v1::Pod& before);
  void onReplicaSet(const Change& c);
  void onDeployment(const Change& c);
  void onService(const Change& c);
  void onNode(const Change& c);
  void onNamespace(const Change& c);
  bool isSettled(Duration since) const { return playedTime() - since > settling_; }
  void violated(std::string what) { cluster_.observer.violated(std::move(what)); }

  Cluster& cluster_;
  Observer& observer_;
  Duration settling_;
  std::map<std::string, SetState, std::less<>> sets_;                // by uid
  std::map<std::string, DeploymentState, std::less<>> deployments_;  // by uid
  std::map<std::string, Duration, std::less<>> disturbed_;           // by namespace
  std::map<std::string, Duration, std::less<>> nodesDisturbed_;
  std::set<std::string, std::less<>> forced_;
};

// Of spec.strategy, resolved.
struct RollingBounds {
  int surge = 0, unavailable = 0;
};
RollingBounds boundsOf(const api::apps_v1::Deployment& d);
const api::meta_v1::OwnerReference* controllerOf(const api::meta_v1::ObjectMeta& meta);
bool isActive(const api::core_v1::Pod& pod);
bool isReady(const api::core_v1::Pod& pod);

}  // namespace km::testing
