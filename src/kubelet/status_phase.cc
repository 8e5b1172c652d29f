#include "kubelet/status_phase.h"

#include <fmt/format.h>

#include "base/strings.h"

namespace km::kubelet {
namespace {

const v1::ContainerStatus* find(const codec::List<v1::ContainerStatus>& list, std::string_view name) {
  for (const auto& s : list) {
    if (s.name == name) return &s;
  }
  return nullptr;
}

struct Counts {
  int pendingInit = 0, pendingSidecars = 0, failedInit = 0;
  int unknown = 0, running = 0, waiting = 0, stopped = 0, succeeded = 0;
};

void countInit(const v1::Pod& pod, const v1::Container& c, const v1::ContainerStatus* s, Counts& n) {
  if (!s) {
    n.pendingInit++;
  } else if (s->state.terminated) {
    if (s->state.terminated->exitCode != 0) n.failedInit += !shouldRestart(pod, c, ContainerKind::kInit, s->state.terminated->exitCode);
    if (s->state.terminated->exitCode != 0 && shouldRestart(pod, c, ContainerKind::kInit, s->state.terminated->exitCode)) n.pendingInit++;
  } else {
    n.pendingInit++;
  }
}

void countSidecar(const v1::ContainerStatus* s, Counts& n) {
  if (!s) {
    n.unknown++;
  } else if (s->state.running) {
    n.pendingSidecars += !s->started.value_or(false);
    n.running++;
  } else if (s->state.waiting) {
    if (!s->lastState.terminated) {
      n.pendingSidecars++;
      n.waiting++;
    }
  } else if (!s->state.terminated) {
    n.pendingSidecars++;
    n.unknown++;
  }
}

void countMain(const v1::ContainerStatus* s, Counts& n) {
  if (!s) {
    n.unknown++;
  } else if (s->state.running) {
    n.running++;
  } else if (s->state.terminated) {
    n.stopped++;
    n.succeeded += s->state.terminated->exitCode == 0;
  } else if (s->state.waiting) {
    (s->lastState.terminated ? n.stopped : n.waiting)++;
  } else {
    n.unknown++;
  }
}

v1::PodCondition condition(std::string_view type, bool status, std::string_view reason = "", std::string_view message = "") {
  v1::PodCondition c;
  c.type = type;
  c.status = status ? "True" : "False";
  c.reason = reason;
  c.message = message;
  return c;
}

std::string list(const std::vector<std::string>& names) { return "[" + join(names, " ") + "]"; }

std::string problems(const std::vector<std::string>& unknown, std::string_view word, const std::vector<std::string>& bad) {
  std::vector<std::string> out;
  if (!unknown.empty()) out.push_back("containers with unknown status: " + list(unknown));
  if (!bad.empty()) out.push_back(fmt::format("containers with {} status: {}", word, list(bad)));
  return join(out, ", ");
}

}  // namespace

std::string podPhase(const v1::Pod& pod, const v1::PodStatus& status, bool terminal, bool initialized) {
  Counts n;
  for (const auto& c : pod.spec.initContainers) {
    const v1::ContainerStatus* s = find(status.initContainerStatuses, c.name);
    isRestartableInit(c) ? countSidecar(s, n) : countInit(pod, c, s, n);
  }
  for (const auto& c : pod.spec.containers) countMain(find(status.containerStatuses, c.name), n);
  if (n.failedInit > 0) return "Failed";
  if (n.pendingInit > 0 && terminal && n.running == 0) return "Failed";
  if (n.pendingInit > 0 || (n.pendingSidecars > 0 && !initialized) || n.waiting > 0) return "Pending";
  if (n.running > 0 && n.unknown == 0) return "Running";
  if (n.running == 0 && n.stopped > 0 && n.unknown == 0) {
    if (terminal) return n.stopped == n.succeeded ? "Succeeded" : "Failed";
    // Each container that will run again keeps the pod running.
    for (const auto& c : pod.spec.containers) {
      const v1::ContainerStatus* s = find(status.containerStatuses, c.name);
      if (s->state.waiting) return "Running";
      if (s->state.terminated && shouldRestart(pod, c, ContainerKind::kMain, s->state.terminated->exitCode)) return "Running";
    }
    return n.stopped == n.succeeded ? "Succeeded" : "Failed";
  }
  return "Pending";
}

v1::PodCondition initializedCondition(const v1::Pod& pod, const v1::PodStatus& status) {
  std::vector<std::string> unknown, bad;
  for (const auto& c : pod.spec.initContainers) {
    const v1::ContainerStatus* s = find(status.initContainerStatuses, c.name);
    if (!s) {
      unknown.push_back(c.name.str());
    } else if (isRestartableInit(c)) {
      if (!s->started.value_or(false)) bad.push_back(c.name.str());
    } else if (!s->ready) {
      bad.push_back(c.name.str());
    }
  }
  if (status.phase == "Succeeded" && unknown.empty()) return condition("Initialized", true, "PodCompleted");
  // Once a main container has run, sidecars that restart don't count.
  for (const auto& s : status.containerStatuses) {
    if (s.state.running || s.state.terminated || s.lastState.terminated) {
      bool onlySidecars = true;
      for (const auto& name : bad) onlySidecars &= isRestartableInit(*findContainer(pod, name));
      if (unknown.empty() && onlySidecars) return condition("Initialized", true);
    }
  }
  std::string message = problems(unknown, "incomplete", bad);
  return message.empty() ? condition("Initialized", true) : condition("Initialized", false, "ContainersNotInitialized", message);
}

v1::PodCondition containersReadyCondition(const v1::Pod& pod, const v1::PodStatus& status) {
  std::vector<std::string> unknown, bad;
  auto look = [&](const v1::Container& c, const codec::List<v1::ContainerStatus>& in) {
    const v1::ContainerStatus* s = find(in, c.name);
    if (!s) {
      unknown.push_back(c.name.str());
    } else if (!s->ready) {
      bad.push_back(c.name.str());
    }
  };
  for (const auto& c : pod.spec.initContainers) {
    if (isRestartableInit(c)) look(c, status.initContainerStatuses);
  }
  for (const auto& c : pod.spec.containers) look(c, status.containerStatuses);
  if (status.phase == "Succeeded" && unknown.empty()) return condition("ContainersReady", false, "PodCompleted");
  if (status.phase == "Failed" && unknown.empty()) return condition("ContainersReady", false, "PodFailed");
  std::string message = problems(unknown, "unready", bad);
  return message.empty() ? condition("ContainersReady", true) : condition("ContainersReady", false, "ContainersNotReady", message);
}

v1::PodCondition readyCondition(const v1::Pod& pod, const v1::PodStatus& status, const v1::PodCondition& containersReady) {
  if (containersReady.status != "True") return condition("Ready", false, containersReady.reason, containersReady.message);
  std::vector<std::string> unmet;
  for (const auto& gate : pod.spec.readinessGates) {
    const v1::PodCondition* found = nullptr;
    for (const auto& c : status.conditions) {
      if (c.type == gate.conditionType) found = &c;
    }
    if (!found) {
      unmet.push_back(fmt::format("corresponding condition of pod readiness gate \"{}\" does not exist.", gate.conditionType.view()));
    } else if (found->status != "True") {
      unmet.push_back(fmt::format("the status of pod readiness gate \"{}\" is not \"True\", but {}", gate.conditionType.view(), found->status.view()));
    }
  }
  return unmet.empty() ? condition("Ready", true) : condition("Ready", false, "ReadinessGatesNotReady", join(unmet, ", "));
}

}  // namespace km::kubelet
