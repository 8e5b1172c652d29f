// The pods that wait for a node. Not thread-safe: the scheduler's lock guards it.
//
// A pod is in one of three places: active (ready to be tried, highest priority first, then longest waiting), backing off (failed; its time
// has not come), or unschedulable (nothing that happened since could help). A change in the cluster moves the unschedulable pods that a
// refusing plugin says it may help; those that wait longer than five minutes are tried anyhow.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "scheduler/cluster.h"

namespace km::scheduler {

struct QueuedPod {
  PodPtr pod;
  int attempts = 0;
  Duration since{};        // when it was first queued
  Duration failedAt{};
  uint32_t wakes = ~0u;    // the changes that the plugins which refused it wait for
  uint64_t tried = 0;      // the queue's change counter when the last attempt began
};

class Queue {
 public:
  static constexpr Duration kInitialBackoff = std::chrono::seconds(1);
  static constexpr Duration kMaxBackoff = std::chrono::seconds(10);
  static constexpr Duration kMaxUnschedulable = std::chrono::minutes(5);

  // A pod without a node came or changed.
  void set(PodPtr pod, Duration now, bool gated);
  void remove(const std::string& uid);
  bool contains(const std::string& uid) const { return entries_.contains(uid); }

  // The next pod to try, if one is ready. It stays known to the queue until done, failed or removed.
  std::optional<QueuedPod> pop(Duration now);
  // The attempt failed; `wakes`: what may help.
  void failed(const std::string& uid, uint32_t wakes, Duration now);
  void done(const std::string& uid) { remove(uid); }

  // Something changed that may help waiting pods.
  void changed(uint32_t changes, Duration now);
  // When pop() should be asked again although nothing changes.
  std::optional<Duration> nextTime() const;

  size_t active() const { return active_.size(); }
  size_t backingOff() const { return backoff_.size(); }
  size_t unschedulable() const { return unschedulable_.size(); }

 private:
  enum class Place { kActive, kBackoff, kUnschedulable, kGated, kInFlight };
  struct Entry {
    QueuedPod q;
    Place place = Place::kActive;
    uint64_t order = 0;
  };
  struct ByPriority {
    int32_t priority;
    uint64_t order;
    std::string uid;
    bool operator<(const ByPriority& o) const {
      return priority != o.priority ? priority > o.priority : order < o.order;
    }
  };
  void leave(Entry& e, const std::string& uid);
  void activate(Entry& e, const std::string& uid);
  void activateOrBackOff(Entry& e, const std::string& uid, Duration now);
  static Duration backoffOf(const QueuedPod& q);

  std::map<std::string, Entry> entries_;
  std::set<ByPriority> active_;
  std::set<std::pair<Duration, std::string>> backoff_;        // by the end of the wait
  std::set<std::pair<Duration, std::string>> unschedulable_;  // by the time of the failure
  uint64_t order_ = 0;
  uint64_t changes_ = 0;
  std::vector<std::pair<uint64_t, uint32_t>> recent_;  // changes while attempts are under way
  size_t inFlight_ = 0;
};

}  // namespace km::scheduler
