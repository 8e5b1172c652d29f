// The answer to a watch: a stream of frames from a cache's Watcher, as fast as the client reads.
#pragma once

#include "apiserver/exchange_context.h"
#include "apiserver/long_running.h"
#include "apiserver/operations.h"
#include "apiserver/render.h"

namespace km::apiserver {

// Begins the stream, or answers with the error. It lives until the client goes or its time is over: the call's
// timeoutSeconds, else a random time between 30 and 60 minutes (--min-request-timeout), or the server ends it by `longRunning`.
void startWatchStream(Operations& operations, LongRunning& longRunning, const HttpCallPtr& http, const CallPtr& call, View view);

}  // namespace km::apiserver
