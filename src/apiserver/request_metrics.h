// What the API server counts of its requests: upstream's apiserver_request_total, apiserver_request_duration_seconds,
// apiserver_current_inflight_requests and apiserver_longrunning_requests.
#pragma once

#include <string_view>

#include "apiserver/request_info.h"
#include "base/clock.h"

namespace km {
class Gauge;
}

namespace km::apiserver {

// One request, from its start until nothing of it is left. Any thread.
class RequestMetrics {
 public:
  RequestMetrics() = default;
  RequestMetrics(const RequestMetrics&) = delete;
  // Leaves the gauge of requests under way.
  ~RequestMetrics();

  // The request is for something that is served, and counts as one under way. `apply`: a patch is one of server-side apply.
  void begin(const RequestInfo& info, bool longRunning, bool apply);
  // It was answered: with 0 if the client went away before.
  void end(const RequestInfo& info, bool dryRun, int code, Duration took) const;

 private:
  std::string_view verb_;
  Gauge* underWay_ = nullptr;
};

}  // namespace km::apiserver
