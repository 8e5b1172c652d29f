// VolumeJobs: the claims that are being bound for pods that have a node but are not bound yet. Writes the
// choice to the API server and waits until the volume controller, or a provisioner, has bound the claims. Any
// thread.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "scheduler/node_table.h"
#include "scheduler/plugins/volume_lookup.h"

namespace km::scheduler {

// What is to be done for the claims of one pod on one node.
struct VolumeDecision {
  std::vector<std::pair<ClaimPtr, VolumePtr>> bindings;  // these exist
  std::vector<ClaimPtr> provisions;                      // for these a volume is made
};

class VolumeJobs {
 public:
  VolumeJobs(const VolumeLookup& look, int64_t timeoutSeconds);
  ~VolumeJobs() { stop(); }

  // From now on nobody else may choose these volumes, or another node for these claims.
  void assume(const api::core_v1::Pod& pod, NodePtr node, VolumeDecision d);
  void forget(const std::string& uid);
  bool has(const std::string& uid) const;
  bool free(const api::core_v1::PersistentVolume& v, const api::core_v1::PersistentVolumeClaim& c) const;
  // By annotation or assumed; "" if none.
  std::string selectedNode(const api::core_v1::PersistentVolumeClaim& c) const;

  // Writes the choice and calls back once all claims are bound, or cannot be.
  void run(const api::core_v1::Pod& pod, std::function<void(Status)> done);
  // Ends what waits; waits for writes under way.
  void stop();

 private:
  struct Job {
    std::string uid;
    NodePtr node;
    VolumeDecision decision;
    std::function<void(Status)> done;  // empty: not running
    size_t writes = 0;                 // under way
    Status failed;
    std::map<std::string, int64_t> versions;  // of what was written; the cache must have seen them
    client::Timers::Id timer = 0;
  };
  using JobPtr = std::shared_ptr<Job>;
  void watch(client::SharedInformer* informer);
  void written(const JobPtr& job, const std::string& key, Result<api::ObjectPtr> answer);
  void recheck();
  bool settled(const Job& job, Status& outcome) const;
  bool seen(const Job& job, const std::string& key, const api::meta_v1::ObjectMeta& meta) const;
  void finish(std::unique_lock<std::mutex>& lock, const JobPtr& job, Status outcome);

  const VolumeLookup look_;
  const int64_t timeoutSeconds_;
  mutable std::mutex mutex_;
  std::condition_variable idle_;
  int underWay_ = 0;
  bool stopped_ = false;
  std::map<std::string, JobPtr> jobs_;  // by the pod's uid
  std::vector<std::unique_ptr<client::Registration>> registrations_;
};

}  // namespace km::scheduler
