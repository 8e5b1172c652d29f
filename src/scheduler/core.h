// Core: the scheduler without its API server. It is told what happens, tries the pods that are due, and tells
// a Writer what to write. Not thread-safe: all calls on one lane.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "scheduler/metrics.h"
#include "scheduler/nominator.h"
#include "scheduler/preemption.h"
#include "scheduler/queue.h"
#include "scheduler/search.h"

namespace km::scheduler {

// What the core has written. Returns at once; the answers come back as calls of the core on its lane.
class Writer {
 public:
  virtual ~Writer() = default;
  // Binds the pod, after what the plugins named do before it; then Core::bound().
  virtual void bind(PodPtr pod, std::string node, std::vector<Plugin*> before) = 0;
  // Tells that no node was found: an event, and the pod's condition. `nominated`: becomes
  // status.nominatedNodeName ("": none); absent: that stays.
  virtual void reportFailure(PodPtr pod, std::string_view reason, const std::string& message,
                             std::optional<std::string> nominated) = 0;
  virtual void clearNomination(PodPtr pod) = 0;
  // Tells the victims to go; then Core::preempted().
  virtual void evict(std::vector<PodPtr> victims, PodPtr preemptor, std::string node) = 0;
};

struct CoreOptions {
  Backoff backoff;
  Listers listers;
};

class Core {
 public:
  // All must outlive the core.
  Core(std::vector<Profile> profiles, std::vector<PluginArgs> args, Writer& writer, Clock& clock,
       Metrics& metrics, CoreOptions options);
  ~Core();

  // --- what happens; null: did not or does not exist ---
  void onPod(const api::ObjectPtr& before, const api::ObjectPtr& after);
  void onNode(const api::ObjectPtr& before, const api::ObjectPtr& after);
  void onNamespace(const api::ObjectPtr& before, const api::ObjectPtr& after);
  // Anything else that plugins look at.
  void onOther(const ClusterEvent& e);
  void bound(const PodPtr& pod, const std::string& node, const Status& answer);
  void preempted(const PodPtr& pod, bool ok);

  // Ends what plugins wait for. No attempt() afterwards.
  void stop();

  // Tries one pod; false if none is due.
  bool attempt();
  // When attempt() should be asked again although nothing happens.
  std::optional<Duration> nextTime() const { return queue_.nextTime(); }

  const Queue& queue() const { return queue_; }
  Cluster& cluster() { return cluster_; }

 private:
  struct Scheduler {  // one profile at work
    Profile profile;
    std::unique_ptr<Search> search;
    std::unique_ptr<Preemption> preemption;  // null: the profile has none
    uint64_t hooks = 0;                      // plugins that reserve or work before the binding
  };
  Scheduler* of(const api::core_v1::Pod& pod);
  std::string gateOf(const api::core_v1::Pod& pod);
  void changed(const ClusterEvent& e) { queue_.changed(e, now()); }
  void assigned(const api::ObjectPtr& before, const api::ObjectPtr& after);
  void waiting(const api::ObjectPtr& before, const api::ObjectPtr& after);
  void gone(const api::ObjectPtr& last);
  bool helps(const QueuedPod& q, const ClusterEvent& e);
  void fail(Scheduler& s, QueuedPod q, const Cycle* c, const Found& found);
  void failWith(Scheduler& s, QueuedPod q, std::string_view reason, const std::string& message,
                std::optional<std::string> nominated = std::nullopt);
  std::string postFilter(Scheduler& s, const Cycle& c, const Diagnosis& d,
                         std::optional<std::string>& nominated);
  bool reserve(Scheduler& s, const Cycle& c, NodeId node, std::string& error, std::vector<Plugin*>& before);
  void unreserve(Scheduler& s, const Cycle& c, NodeId node);
  Duration now() const { return clock_.monotonic(); }

  Writer& writer_;
  Clock& clock_;
  Metrics& metrics_;
  Cluster cluster_;
  Nominator nominator_;
  std::vector<std::unique_ptr<Scheduler>> schedulers_;
  Queue queue_;
  Duration began_{};  // of the latest attempt
  struct Binding {
    QueuedPod q;
    Duration began{};
  };
  std::unordered_map<std::string, Binding> binding_;  // by uid
  std::unordered_map<std::string, bool>
      preempting_;  // uids whose victims are being told; whether an attempt was held back
};

}  // namespace km::scheduler
