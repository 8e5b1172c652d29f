// What every controller is given, and the few things that all of them do alike.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "client/client.h"
#include "client/events.h"
#include "client/informer.h"
#include "client/timers.h"
#include "client/worker_pool.h"
#include "client/workqueue.h"
#include "pki/certificate.h"

namespace km::controllers {

using client::ObjectPtr;

// Settings of kube-controller-manager's flags, with upstream's defaults.
struct Options {
  int concurrentReplicaSetSyncs = 5;
  int concurrentDeploymentSyncs = 5;
  int concurrentEndpointSyncs = 5;
  int concurrentServiceEndpointSyncs = 5;
  int concurrentNamespaceSyncs = 10;
  int concurrentGcSyncs = 20;
  int concurrentServiceAccountTokenSyncs = 5;
  int concurrentResourceQuotaSyncs = 5;
  Duration resourceQuotaSyncPeriod = std::chrono::minutes(5);
  int maxEndpointsPerSlice = 100;
  int terminatedPodGcThreshold = 12500;
  std::string clusterCidr;                 // "10.244.0.0/16", or one of each family, comma-separated
  std::string serviceClusterIpRange;       // kept free when it overlaps
  bool allocateNodeCidrs = false;
  int nodeCidrMaskSizeIpv4 = 24;
  int nodeCidrMaskSizeIpv6 = 64;
  Duration nodeMonitorPeriod = std::chrono::seconds(5);
  Duration nodeMonitorGracePeriod = std::chrono::seconds(50);
  Duration nodeStartupGracePeriod = std::chrono::seconds(60);
  double nodeEvictionRate = 0.1;
  double secondaryNodeEvictionRate = 0.01;
  int largeClusterSizeThreshold = 50;
  double unhealthyZoneThreshold = 0.55;
  // Every kind that can be deleted, one version of each; null: the built-in ones. For the namespace and the garbage
  // collector controllers.
  std::function<std::vector<const api::Resource*>()> resources;
  Duration namespaceDeletionDelay = std::chrono::seconds(1);  // lets creations that were admitted before land
  // Authorities by the signer that they stand for ("kubernetes.io/kubelet-serving"), and the longest life that they give.
  std::map<std::string, pki::KeyPair> signers;
  Duration signingDuration = std::chrono::hours(8760);
  std::string rootCa;                      // PEM, of the kube-root-ca.crt ConfigMaps
  // Makes a legacy token for a service account's Secret; null: that controller does nothing.
  std::function<Result<std::string>(std::string_view ns, std::string_view account, std::string_view accountUid,
                                    std::string_view secret, std::string_view secretUid)>
      makeLegacyToken;
  // A client that is a service account of kube-system; null: controllers share the manager's client.
  std::function<Result<std::unique_ptr<client::Client>>(std::string_view account)> accountClient;
};

// What one controller is given. All of it outlives the controller.
struct Context {
  client::Client& client;
  client::InformerFactory& informers;
  client::WorkerPool& pool;
  client::Timers& timers;
  client::EventBroadcaster& events;
  const Options& options;
  std::vector<client::SharedInformer*> used;  // what start() waits for

  Clock& clock() const { return timers.clock(); }
  // The process's informer of a type; the controller starts when it has synced. For constructors.
  template <typename T>
  client::SharedInformer& use() {
    used.push_back(&informers.of<T>());
    return *used.back();
  }
};

// A controller: its constructor asks for informers and adds handlers.
class Controller {
 public:
  virtual ~Controller() = default;  // as stop()
  // The informers that it uses have synced: begin to work. Called once, may block.
  virtual void start() = 0;
  // No handler and no work runs when it returns. Called once, before the destructor.
  virtual void stop() = 0;
};

// Keys, their workers and what happens on errors: sync(key) that fails is tried again with the queue's rate limit.
class SyncLoop {
 public:
  SyncLoop(Context& context, std::string_view name, int workers, std::function<Status(const std::string& key)> sync);
  ~SyncLoop();
  void start();
  void stop();  // takes its handlers out, lets the work in progress end

  client::WorkQueue& queue() { return queue_; }
  void add(std::string_view key) { queue_.add(key); }
  // Adds a handler that lives until stop().
  void on(client::SharedInformer& informer, client::Handler handler);
  // Adds each object's own key on any change.
  void onKeys(client::SharedInformer& informer);

 private:
  void run(const std::string& key);
  client::WorkerPool& pool_;
  std::function<Status(const std::string&)> sync_;
  int workers_;
  client::WorkQueue queue_;
  std::vector<std::unique_ptr<client::Registration>> handlers_;
  std::unique_ptr<client::QueueWorkers> running_;
};

}  // namespace km::controllers
