#include "kubelet/status.h"

#include <fmt/format.h>

#include <algorithm>

#include "codec/ops.h"
#include "kubelet/resources.h"
#include "kubelet/status_phase.h"

namespace km::kubelet {
namespace {

codec::Time timeOf(int64_t nanos) {
  return nanos > 0 ? codec::Time(nanos / 1'000'000'000) : codec::Time();
}

v1::ContainerStateTerminated terminatedOf(const ContainerRecord& r) {
  v1::ContainerStateTerminated t;
  t.exitCode = r.status.exitCode;
  t.reason = r.status.reason;
  t.message = r.terminationMessage.empty() ? r.status.message : codec::String(r.terminationMessage);
  t.startedAt = timeOf(r.status.startedAt > 0 ? r.status.startedAt : r.status.createdAt);
  t.finishedAt = timeOf(r.status.finishedAt);
  t.containerID = "containerd://" + r.id;
  return t;
}

void addMounts(const v1::Container& c, v1::ContainerStatus& s) {
  for (const auto& m : c.volumeMounts) {
    v1::VolumeMountStatus& out = s.volumeMounts.add();
    out.name = m.name;
    out.mountPath = m.mountPath;
    out.readOnly = m.readOnly;
    if (m.readOnly) out.recursiveReadOnly = codec::String("Disabled");
  }
}

v1::ContainerStatus statusOf(const v1::Container& c, const ContainerRecord& r) {
  v1::ContainerStatus s;
  s.name = c.name;
  s.restartCount = r.restartCount;
  s.image = r.status.image && !r.status.image->image.empty() ? r.status.image->image : c.image;
  s.imageID = r.status.imageRef;
  s.containerID = "containerd://" + r.id;
  if (r.running()) {
    s.state.running.ensure().startedAt = timeOf(r.status.startedAt);
  } else if (r.exited()) {
    s.state.terminated = terminatedOf(r);
  } else {
    s.state.waiting.ensure().reason = r.created() ? "ContainerCreating" : "";
  }
  s.resources.ensure();
  s.resources->limits = c.resources.limits;
  s.resources->requests = c.resources.requests;
  s.allocatedResources = c.resources.requests;
  addMounts(c, s);
  if (r.status.user && r.status.user->linux) {
    auto& u = s.user.ensure().linux.ensure();
    u.uid = r.status.user->linux->uid;
    u.gid = r.status.user->linux->gid;
    u.supplementalGroups = r.status.user->linux->supplementalGroups;
  }
  return s;
}

const v1::ContainerStatus* find(const codec::List<v1::ContainerStatus>& list, std::string_view name) {
  for (const auto& s : list) {
    if (s.name == name) return &s;
  }
  return nullptr;
}

// Of a container that the runtime does not have.
v1::ContainerStatus absentStatus(const StatusInput& in, const v1::Container& c, ContainerKind kind,
                                 const v1::ContainerStatus* old) {
  v1::ContainerStatus s;
  bool everRan = old && (old->state.running || old->state.terminated);
  if (old && old->state.terminated && (kind == ContainerKind::kInit || in.terminal)) return *old;
  s.name = c.name;
  s.image = c.image;
  s.state.waiting.ensure().reason =
      in.pod->spec.initContainers.empty() ? "ContainerCreating" : "PodInitializing";
  addMounts(c, s);
  if (old) {
    s.restartCount = old->restartCount;
    s.lastState = old->lastState;
    s.imageID = old->imageID;
    if (old->state.terminated) s.lastState = old->state;
  }
  if ((everRan && old->state.running) || in.gone) {
    v1::ContainerStateTerminated t;
    t.reason = "ContainerStatusUnknown";
    t.message = in.gone ? "The container could not be located when the pod was terminated"
                        : "The container could not be located when the pod was deleted.  The container used "
                          "to be Running";
    t.exitCode = 137;
    if (in.gone) {
      s.state = v1::ContainerState();
      s.state.terminated = std::move(t);
    } else {
      s.lastState.terminated = std::move(t);
      s.restartCount++;
    }
  }
  return s;
}

bool runsAgain(const StatusInput& in, const v1::Container& c, ContainerKind kind, const ContainerRecord& r) {
  return !in.terminal && !in.pod->metadata.deletionTimestamp && r.exited() &&
         shouldRestart(*in.pod, c, kind, r.status.exitCode);
}

v1::ContainerStatus oneStatus(const StatusInput& in, const v1::Container& c, ContainerKind kind,
                              const v1::ContainerStatus* old) {
  const ContainerRecord* r = in.runtime->latest(c.name);
  v1::ContainerStatus s = r ? statusOf(c, *r) : absentStatus(in, c, kind, old);
  if (r) {
    if (const ContainerRecord* p = in.runtime->previous(c.name); p && p->exited()) {
      s.lastState.terminated = terminatedOf(*p);
    } else if (old && old->restartCount == r->restartCount) {
      s.lastState = old->lastState;
    }
  }
  // A reason to wait shows in place of an end that will be followed by a new start.
  auto why =
      in.waiting ? in.waiting->find(c.name.str()) : std::map<std::string, WaitingReason>::const_iterator();
  if (in.waiting && why != in.waiting->end() && !in.gone &&
      (!r || r->created() || runsAgain(in, c, kind, *r))) {
    if (s.state.terminated) s.lastState = s.state;
    s.state = v1::ContainerState();
    s.state.waiting.ensure().reason = why->second.reason;
    s.state.waiting->message = why->second.message;
  }
  bool running = r && r->running();
  bool started = running && (!c.startupProbe || in.started(r->id));
  s.started = started;
  if (kind == ContainerKind::kInit && !isRestartableInit(c)) {
    s.ready = s.state.terminated && s.state.terminated->exitCode == 0;
  } else {
    s.ready = started && (!c.readinessProbe || in.ready(r->id));
  }
  if (kind == ContainerKind::kEphemeral) {
    s.started.reset();
    s.ready = false;
  }
  return s;
}

void addAddresses(const StatusInput& in, v1::PodStatus& out) {
  for (const auto& ip : in.hostIps) out.hostIPs.add().ip = ip;
  if (!in.hostIps.empty()) out.hostIP = in.hostIps[0];
  std::vector<std::string> ips;
  if (in.pod->spec.hostNetwork) {
    ips = in.hostIps;
  } else if (in.runtime->sandbox()) {
    ips = in.runtime->sandbox()->ips();
  }
  if (ips.empty()) ips = in.podIps;
  if (ips.empty()) {
    for (const auto& ip : in.pod->status.podIPs) ips.push_back(ip.ip.str());
  }
  for (const auto& ip : ips) out.podIPs.add().ip = ip;
  if (!ips.empty()) out.podIP = ips[0];
}

// What the pod as a whole was given.
void addResources(const v1::Pod& pod, v1::PodStatus& out) {
  PodResources r = podResources(pod);
  auto add = [](codec::Map<codec::Quantity>& m, int64_t milliCpu, int64_t memory) {
    if (milliCpu > 0) m["cpu"] = codec::Quantity::milli(milliCpu);
    if (memory > 0) m["memory"] = codec::Quantity(memory, codec::Quantity::Format::kBinarySI);
  };
  add(out.allocatedResources, r.cpuRequestMilli, r.memoryRequest);
  if (out.allocatedResources.empty() && r.cpuLimitMilli == 0 && r.memoryLimit == 0) return;
  auto& resources = out.resources.ensure();
  add(resources.requests, r.cpuRequestMilli, r.memoryRequest);
  add(resources.limits, r.cpuLimitMilli, r.memoryLimit);
}

void setCondition(const StatusInput& in, v1::PodStatus& out, v1::PodCondition c) {
  c.observedGeneration = in.pod->metadata.generation;
  c.lastTransitionTime = codec::Time(in.now.seconds);
  for (auto& existing : out.conditions) {
    if (existing.type != c.type) continue;
    if (existing.status == c.status) c.lastTransitionTime = existing.lastTransitionTime;
    existing = std::move(c);
    return;
  }
  out.conditions.push_back(std::move(c));
}

}  // namespace

v1::PodStatus makeStatus(const StatusInput& in) {
  const v1::Pod& pod = *in.pod;
  const v1::PodStatus& old = pod.status;
  v1::PodStatus out;
  out.observedGeneration = pod.metadata.generation;
  out.qosClass = qosClass(pod);
  out.nominatedNodeName = old.nominatedNodeName;
  out.resourceClaimStatuses = old.resourceClaimStatuses;
  out.extendedResourceClaimStatus = old.extendedResourceClaimStatus;
  out.nodeAllocatableResourceClaimStatuses = old.nodeAllocatableResourceClaimStatuses;
  out.startTime = old.startTime ? *old.startTime : codec::Time(in.startTime.seconds);
  addAddresses(in, out);
  addResources(pod, out);
  eachContainer(pod, [&](const v1::Container& c, ContainerKind kind) {
    switch (kind) {
      case ContainerKind::kInit:
        out.initContainerStatuses.push_back(oneStatus(in, c, kind, find(old.initContainerStatuses, c.name)));
        break;
      case ContainerKind::kMain:
        out.containerStatuses.push_back(oneStatus(in, c, kind, find(old.containerStatuses, c.name)));
        break;
      case ContainerKind::kEphemeral:
        out.ephemeralContainerStatuses.push_back(
            oneStatus(in, c, kind, find(old.ephemeralContainerStatuses, c.name)));
        break;
    }
  });
  std::stable_sort(out.containerStatuses.begin(), out.containerStatuses.end(),
                   [](const auto& a, const auto& b) { return a.name.view() < b.name.view(); });

  bool initialized = !pod.spec.initContainers.empty() &&
                     std::any_of(pod.spec.containers.begin(), pod.spec.containers.end(),
                                 [&](const auto& c) { return in.runtime->latest(c.name) != nullptr; });
  out.phase = podPhase(pod, out, in.terminal, initialized);
  if (isEnded(pod)) out.phase = old.phase;  // never left again
  if (!in.endReason.empty()) {
    out.phase = "Failed";
    out.reason = in.endReason;
    out.message = in.endMessage;
  } else if (isEnded(pod)) {
    out.reason = old.reason;
    out.message = old.message;
  }
  out.conditions = old.conditions;
  bool ready = in.runtime->sandbox() && in.runtime->sandbox()->ready() &&
               (pod.spec.hostNetwork || !in.runtime->sandbox()->ips().empty());
  v1::PodCondition readyToStart;
  readyToStart.type = "PodReadyToStartContainers";
  readyToStart.status = ready ? "True" : "False";
  setCondition(in, out, std::move(readyToStart));
  setCondition(in, out, initializedCondition(pod, out));
  v1::PodCondition containersReady = containersReadyCondition(pod, out);
  setCondition(in, out, readyCondition(pod, out, containersReady));
  setCondition(in, out, std::move(containersReady));
  v1::PodCondition scheduled;
  scheduled.type = "PodScheduled";
  scheduled.status = "True";
  setCondition(in, out, std::move(scheduled));
  return out;
}

bool sameStatus(const v1::PodStatus& before, const v1::PodStatus& now) {
  return codec::equal(&before, &now, v1::PodStatus::kType);
}

}  // namespace km::kubelet
