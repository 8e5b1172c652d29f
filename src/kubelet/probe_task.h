// One probe of one container. Internal to the probes.
#pragma once

#include "kubelet/probes.h"

namespace km::kubelet {

struct ProbeManager::Task {
  Type type;
  v1::Probe probe;
  PodPtr pod;
  v1::Container container;
  std::string id, ip;
  std::weak_ptr<PodWorker> worker;
  ProbeResult result;  // guarded by the manager's mutex, as all below
  ProbeResult last = ProbeResult::kUnknown;
  int run = 0;
  bool ended = false;
  client::Timers::Id timer = 0;

  Duration timeout() const { return std::chrono::seconds(std::max(probe.timeoutSeconds, 1)); }
};

}  // namespace km::kubelet
