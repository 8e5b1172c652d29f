// Events of the group events.k8s.io, as the scheduler tells them. Upstream's rules (client-go tools/events):
//   - the same again (same type, action, reason, reporter and object, whatever the note says) within six
//   minutes becomes a series: the
//     second one PATCHes series.count 2, later ones are counted and written when the series ends or every
//     half hour;
//   - notes are cut at 1024 bytes; writing is tried 12 times, ten seconds apart; an event that the server
//   refuses is dropped.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "api/types/fwd.h"
#include "client/client.h"
#include "client/timers.h"
#include "client/worker_pool.h"

namespace km::client {

// At most 1000 events wait to be written; more are dropped.
class SeriesRecorder {
 public:
  // `controller` is reportingController, `instance` reportingInstance ("default-scheduler-HOST").
  SeriesRecorder(Client& client, WorkerPool& pool, Timers& timers, std::string controller,
                 std::string instance);
  ~SeriesRecorder();  // stop()
  SeriesRecorder(const SeriesRecorder&) = delete;
  SeriesRecorder& operator=(const SeriesRecorder&) = delete;

  // Any thread, never waits. `type`: kEventNormal or kEventWarning; `action`: what was done or tried
  // ("Scheduling").
  void event(const api::core_v1::ObjectReference& regarding, std::string_view type, std::string_view reason,
             std::string_view action, std::string_view note) const;
  // What waits is dropped; waits for the write in progress.
  void stop();

  struct Core;

 private:
  std::shared_ptr<Core> core_;
};

}  // namespace km::client
