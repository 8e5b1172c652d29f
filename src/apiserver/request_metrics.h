// How many requests were answered and how long they took: apiserver_request_total and apiserver_request_duration_seconds.
#pragma once

#include <string_view>

#include "apiserver/request_info.h"
#include "base/clock.h"

namespace km::apiserver {

// Any thread.
void countRequest(const RequestInfo& info, int code, bool dryRun, Duration took);

// Calls of parts of this process, which are no requests: km_local_calls_total.
void countLocalCall(std::string_view verb, std::string_view group, std::string_view resource);

}  // namespace km::apiserver
