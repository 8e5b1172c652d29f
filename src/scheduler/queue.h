// The pods that wait for a node. Not thread-safe: it lives on the scheduler's lane.
//
// A pod is in one of four places: active (ready to be tried: highest priority first, then longest waiting),
// backing off (its time has not come), unschedulable (nothing that happened since its last attempt could
// help), or gated (a plugin keeps it from being tried at all). An event moves the unschedulable pods that a
// plugin which refused them says it helps. While nothing is active, pods back off no longer, except those
// whose last attempt ended with an error. Pods that are unschedulable for more than five minutes are tried
// anyhow.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "scheduler/cluster_event.h"
#include "scheduler/node_table.h"

namespace km::scheduler {

struct QueuedPod {
  PodPtr pod;
  int attempts = 0;        // that were made
  int failures = 0;        // that found no node
  int errors = 0;          // that ended with an error, one after the other
  Duration since{};        // when it was first queued
  Duration queuedAt{};     // when it last came in
  uint64_t rejectors = 0;  // bits of the plugins that refused it; 0 after an error
  uint32_t wakes = 0;      // the events they wait for
  std::string gate;        // why it is gated
};

// How long a pod waits after a failed attempt: doubled each time.
struct Backoff {
  Duration initial = std::chrono::seconds(1), max = std::chrono::seconds(10);
};

class Queue {
 public:
  static constexpr Duration kMaxUnschedulable = std::chrono::minutes(5);
  // Whether the event makes it worth to try the pod again; asked for pods that wait for one of its kinds.
  using Helps = std::function<bool(const QueuedPod&, const ClusterEvent&)>;

  // Hears of each pod that enters a place ("active", "backoff", "unschedulable"), and by which event; for
  // metrics.
  using Incoming = std::function<void(std::string_view place, std::string_view event)>;

  explicit Queue(Helps helps, Backoff backoff = {}, Incoming incoming = nullptr)
      : helps_(std::move(helps)), incoming_(std::move(incoming)), backoffTimes_(backoff) {}

  // A pod without a node came or changed. `gate`: why it may not be tried. `change`: what is new of a known
  // one; an unschedulable pod stays where it is unless that helps.
  void set(PodPtr pod, Duration now, std::string gate = "", const ClusterEvent& change = {});
  void remove(const std::string& uid);
  bool contains(const std::string& uid) const { return entries_.contains(uid); }
  const QueuedPod* find(const std::string& uid) const;

  // The next pod to try, if one is ready; it is out of the queue's places until failed(), done() or remove().
  std::optional<QueuedPod> pop(Duration now);
  // No node was found: back with it, and with what may help it.
  void failed(QueuedPod q, Duration now);
  void done(const std::string& uid) { remove(uid); }
  // A pod that was done comes back, as if its attempt were still under way: failed() follows.
  void reenter(const QueuedPod& q);

  void changed(const ClusterEvent& e, Duration now);
  // Asks again why gated pods are: `gateOf` says the reason, or "".
  void recheckGates(const std::function<std::string(const api::core_v1::Pod&)>& gateOf, Duration now);
  // Tries it as soon as possible.
  void activate(const std::string& uid, Duration now);
  // When pop() should be asked again although nothing changes.
  std::optional<Duration> nextTime() const;

  size_t active() const { return active_.size(); }
  size_t backingOff() const { return backoff_.size() + errorBackoff_.size(); }
  size_t unschedulable() const { return unschedulable_; }
  size_t gated() const { return gated_.size(); }

 private:
  enum class Place { kActive, kBackoff, kErrorBackoff, kUnschedulable, kGated, kInFlight };
  struct Entry {
    QueuedPod q;
    std::string uid;
    Place place = Place::kInFlight;
    uint64_t order = 0;
    Duration until{};
    size_t missedFrom = 0;  // in flight: events from here on came during the attempt
  };
  struct First {
    bool operator()(const Entry* a, const Entry* b) const;
  };
  struct Sooner {
    bool operator()(const Entry* a, const Entry* b) const {
      return a->until != b->until ? a->until < b->until : a->order < b->order;
    }
  };
  using Timed = std::set<Entry*, Sooner>;
  void leave(Entry& e);
  void toActive(Entry& e, std::string_view event);
  void toActiveOrBackoff(Entry& e, Duration now, std::string_view event);
  void toUnschedulable(Entry& e, Duration now);
  void tell(std::string_view place, std::string_view event) {
    if (incoming_ && !event.empty()) incoming_(place, event);
  }
  Duration backoffOf(const QueuedPod& q) const;
  bool worth(const Entry& e, const ClusterEvent& event) const {
    return (e.q.wakes & event.kinds) != 0 && helps_(e.q, event);
  }

  const Helps helps_;
  const Incoming incoming_;
  const Backoff backoffTimes_;
  std::unordered_map<std::string, std::unique_ptr<Entry>> entries_;
  std::set<Entry*, First> active_;
  Timed backoff_, errorBackoff_;
  std::map<uint32_t, std::set<Entry*>> waiting_;  // unschedulable, by the events they wait for
  Timed byAge_;                                   // the same, by when they are tried anyhow
  std::set<Entry*> gated_;
  size_t unschedulable_ = 0, inFlight_ = 0;
  uint64_t order_ = 0;
  std::vector<ClusterEvent> during_;  // events while attempts are under way
};

}  // namespace km::scheduler
