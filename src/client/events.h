// Events: what parts tell users about objects, written to the API server in the background. Upstream's rules:
//   - the same event again (same source, object, type, reason and message) becomes a PATCH of count and lastTimestamp;
//   - more than 10 events in 10 minutes that differ only in the message become one whose message says
//     "(combined from similar events): ...";
//   - a source may tell 25 events about one object at once and then one in five minutes; more are dropped;
//   - writing is tried 12 times, ten seconds apart; an event that the server refuses is dropped.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/object.h"
#include "client/client.h"
#include "client/timers.h"
#include "client/worker_pool.h"

namespace km::client {

inline constexpr std::string_view kEventNormal = "Normal";
inline constexpr std::string_view kEventWarning = "Warning";

// What an event is about: an object, or a struct of its type.
api::core_v1::ObjectReference makeReference(const codec::TypeInfo& type, const api::meta_v1::ObjectMeta& meta);
api::core_v1::ObjectReference referenceTo(const api::Object& object);
template <typename T>
auto referenceTo(const T& object) {  // include api/types/core_v1.h where it is used
  return makeReference(T::kType, object.metadata);
}

class EventBroadcaster;

// One part's voice. Any thread, never waits. Without a broadcaster (default made) it says nothing. Cheap to copy; may
// outlive the broadcaster, then it says nothing either.
class EventRecorder {
 public:
  EventRecorder() = default;
  // `type`: kEventNormal or kEventWarning.
  void event(const api::core_v1::ObjectReference& about, std::string_view type, std::string_view reason,
             std::string_view message) const;
  void event(const api::Object& about, std::string_view type, std::string_view reason, std::string_view message) const;
  void event(const api::ObjectPtr& about, std::string_view type, std::string_view reason, std::string_view message) const {
    event(*about, type, reason, message);
  }
  // With annotations of the Event object.
  struct Extra {
    std::string fieldPath;  // of `about`
    std::string action;
    std::vector<std::pair<std::string, std::string>> annotations;
  };
  void event(const api::core_v1::ObjectReference& about, std::string_view type, std::string_view reason,
             std::string_view message, const Extra& extra) const;

 private:
  friend class EventBroadcaster;
  struct Source;
  std::shared_ptr<const Source> source_;
};

// Correlates and writes, one event after another. One for a process is enough. At most 1000 events wait; more are dropped.
class EventBroadcaster {
 public:
  EventBroadcaster(Client& client, WorkerPool& pool, Timers& timers);
  ~EventBroadcaster();  // stop()

  // `component` is source.component and reportingComponent; `host` source.host, of node parts.
  EventRecorder recorder(std::string_view component, std::string_view host = "");
  // Waits until everything told so far is written or given up, at most `timeout`.
  bool flush(Duration timeout);
  // What waits is dropped; waits for the write in progress.
  void stop();

  struct Core;

 private:
  std::shared_ptr<Core> core_;
};

}  // namespace km::client
