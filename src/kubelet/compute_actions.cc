#include "kubelet/compute_actions.h"

#include <fmt/format.h>

namespace km::kubelet {
namespace {

// Whether the pod needs a new sandbox, and its number.
bool sandboxMissing(const v1::Pod& pod, const RuntimePod& runtime, uint32_t* attempt) {
  *attempt = 0;
  const SandboxRecord* latest = runtime.sandbox();
  if (!latest) return true;
  *attempt = latest->attempt + 1;
  int ready = 0;
  for (const auto& s : runtime.sandboxes) ready += s.ready();
  if (ready > 1 || !latest->ready()) return true;
  return !pod.spec.hostNetwork && latest->ips().empty();
}

bool hasStartedMain(const v1::Pod& pod, const RuntimePod& runtime) {
  for (const auto& c : pod.spec.containers) {
    if (runtime.latestActive(c.name)) return true;
  }
  return false;
}

// Adds a kill if the running container must go. `restarts` only words the message.
bool killIfBad(const v1::Container& c, const ContainerRecord& r, const ProbeView& probes, bool restarts, PodActions& out) {
  ContainerToKill k{r.id, r.name, "", false, false};
  if (r.hash != containerHash(c)) {
    k.message = fmt::format("Container {} definition changed", c.name.view());
    restarts = true;
  } else if (c.livenessProbe && probes.liveness(r.id) == ProbeResult::kFailure) {
    k.message = fmt::format("Container {} failed liveness probe", c.name.view());
    k.probe = true;
  } else if (c.startupProbe && probes.startup(r.id) == ProbeResult::kFailure) {
    k.message = fmt::format("Container {} failed startup probe", c.name.view());
    k.probe = k.startupProbe = true;
  } else {
    return false;
  }
  if (restarts) k.message += ", will be restarted";
  out.kill.push_back(std::move(k));
  return true;
}

// A sidecar during or after initialization. True if the next init container may go on.
bool sidecar(const v1::Container& c, const RuntimePod& runtime, const ProbeView& probes, PodActions& out) {
  const ContainerRecord* r = runtime.latestActive(c.name);
  if (!r || r->exited() || r->created()) {
    out.start.push_back({c.name.str(), ContainerKind::kInit});
    return false;
  }
  if (r->unknown() || killIfBad(c, *r, probes, true, out)) return false;
  return !c.startupProbe || probes.startup(r->id) == ProbeResult::kSuccess;
}

// True once the main containers may run.
bool initActions(const v1::Pod& pod, const RuntimePod& runtime, const ProbeView& probes, PodActions& out) {
  bool before = hasStartedMain(pod, runtime);
  for (const auto& c : pod.spec.initContainers) {
    if (isRestartableInit(c)) {
      if (!sidecar(c, runtime, probes, out) && !before) return false;
      continue;
    }
    if (before) continue;
    const ContainerRecord* r = runtime.latestActive(c.name);
    if (r && r->exited() && r->status.exitCode == 0) continue;
    if (r && (r->running() || r->unknown())) return false;
    if (r && r->exited() && !shouldRestart(pod, c, ContainerKind::kInit, r->status.exitCode)) {
      out.killPod = true;
      return false;
    }
    out.start.push_back({c.name.str(), ContainerKind::kInit});
    return false;
  }
  return true;
}

// The sandbox is to be made: what is started in it at first.
PodActions afterSandboxLoss(const v1::Pod& pod, const RuntimePod& runtime, PodActions out) {
  out.killPod = true;
  std::vector<ContainerToStart> main;
  for (const auto& c : pod.spec.containers) {
    if (shouldContainerRun(pod, runtime, c, ContainerKind::kMain) || (runtime.latest(c.name) && runtime.latest(c.name)->running())) {
      main.push_back({c.name.str(), ContainerKind::kMain});
    }
  }
  if (pod.spec.restartPolicy == "Never" && out.attempt != 0 && !runtime.containers.empty()) {
    bool rules = false;
    for (const auto& c : pod.spec.containers) rules |= c.restartPolicy.has_value();
    if (!rules || main.empty()) return out;
  }
  if (main.empty()) return out;
  out.createSandbox = true;
  if (!pod.spec.initContainers.empty()) {
    out.start.push_back({pod.spec.initContainers[0].name.str(), ContainerKind::kInit});
  } else {
    out.start = std::move(main);
  }
  return out;
}

}  // namespace

bool shouldContainerRun(const v1::Pod& pod, const RuntimePod& runtime, const v1::Container& c, ContainerKind kind) {
  if (pod.metadata.deletionTimestamp) return false;
  const ContainerRecord* r = runtime.latest(c.name);
  if (!r) return true;
  if (r->running()) return false;
  if (r->created() || r->unknown()) return kind != ContainerKind::kEphemeral;
  return shouldRestart(pod, c, kind, r->status.exitCode);
}

PodActions computeActions(const v1::Pod& pod, const RuntimePod& runtime, const ProbeView& probes) {
  PodActions out;
  if (sandboxMissing(pod, runtime, &out.attempt)) return afterSandboxLoss(pod, runtime, std::move(out));

  for (const auto& e : pod.spec.ephemeralContainers) {
    if (!runtime.latest(e.name)) out.start.push_back({e.name.str(), ContainerKind::kEphemeral});
  }
  if (!initActions(pod, runtime, probes, out)) {
    if (out.killPod) out.start.clear();
    return out;
  }
  int kept = 0;
  bool starts = false;
  for (const auto& c : pod.spec.containers) {
    const ContainerRecord* r = runtime.latest(c.name);
    if (!r || !r->running()) {
      if (r && r->unknown()) {
        out.kill.push_back({r->id, r->name, fmt::format("Container is in \"unknown\" state, try killing it before restart"), false, false});
      } else if (shouldContainerRun(pod, runtime, c, ContainerKind::kMain)) {
        out.start.push_back({c.name.str(), ContainerKind::kMain});
        starts = true;
      }
      continue;
    }
    killIfBad(c, *r, probes, shouldRestart(pod, c, ContainerKind::kMain, 137), out);
    kept++;
  }
  if (kept == 0 && !starts) {
    bool unknown = false;
    for (const auto& r : runtime.containers) unknown |= r.unknown();
    if (!unknown) {
      out = PodActions{};
      out.killPod = true;
    }
  }
  return out;
}

}  // namespace km::kubelet
