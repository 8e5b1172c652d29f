// The PodStatus that upstream's kubelet would build. Pure.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "kubelet/pod_runtime.h"
#include "kubelet/pod_util.h"

namespace km::kubelet {

// Why a container does not run (yet): the Waiting state.
struct WaitingReason {
  std::string reason, message;
};

struct StatusInput {
  const v1::Pod* pod = nullptr;  // with the status last known
  const RuntimePod* runtime = nullptr;
  const std::map<std::string, WaitingReason>* waiting = nullptr;    // by container name
  std::function<bool(std::string_view id)> ready = [](std::string_view) { return true; };    // the readiness probe's word
  std::function<bool(std::string_view id)> started = [](std::string_view) { return true; };  // the startup probe's word
  std::vector<std::string> hostIps;
  std::vector<std::string> podIps;  // known from before where the runtime has none
  WallTime now;
  WallTime startTime;
  bool terminal = false;        // nothing of it will run any more: it is being deleted, or ended by us
  bool gone = false;            // ... and nothing of it runs: containers that cannot be found have ended
  std::string endReason, endMessage;  // ended by us (DeadlineExceeded, ...): phase Failed
};

v1::PodStatus makeStatus(const StatusInput& in);
// Whether writing `now` over `before` would change anything.
bool sameStatus(const v1::PodStatus& before, const v1::PodStatus& now);

}  // namespace km::kubelet
