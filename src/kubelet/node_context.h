// What all pod workers of one kubelet share.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client/client.h"
#include "client/events.h"
#include "client/timers.h"
#include "cri/runtime.h"
#include "kubelet/admission.h"
#include "kubelet/compute_actions.h"
#include "kubelet/container_config.h"
#include "kubelet/elastic_pool.h"
#include "kubelet/volumes.h"

namespace km::kubelet {

class ObjectCache;
class Tokens;
class ProbeManager;

// All outlive the workers. Functions may be called from any thread.
struct NodeContext {
  Options options;
  client::Client* client = nullptr;
  cri::Runtime* runtime = nullptr;
  ElasticPool* pool = nullptr;  // for what blocks
  client::Timers* timers = nullptr;
  client::EventRecorder recorder;
  ObjectCache* objects = nullptr;
  Tokens* tokens = nullptr;
  ProbeManager* probes = nullptr;
  std::function<Services()> services;
  std::vector<std::string> hostIps;
  codec::Map<codec::Quantity> allocatable;
  int64_t memoryCapacity = 0;
  // Which pod a container or sandbox belongs to, for events; "" forgets it.
  std::function<void(const std::string& id, const std::string& uid)> own;
  // Takes the pod, or says why not. Asked once for a pod that has not begun.
  std::function<std::optional<Rejection>(const v1::Pod& pod)> admit;
  // A container that ran does not any more.
  std::function<void(const std::string& id)> ended;
  // The pod is gone from the API and the node: the worker may be dropped.
  std::function<void(const std::string& uid)> done;

  Clock& clock() const { return timers->clock(); }
};

}  // namespace km::kubelet
