#include "scheduler/resources.h"

#include <algorithm>

namespace km::scheduler {
namespace {

using api::core_v1::Container;
using api::core_v1::ContainerStatus;
using api::core_v1::Pod;

constexpr int64_t kDefaultMilliCpu = 100;
constexpr int64_t kDefaultMemory = 200 * 1024 * 1024;

void maximize(Amounts& a, const Amounts& b) {
  a.milliCpu = std::max(a.milliCpu, b.milliCpu);
  a.memory = std::max(a.memory, b.memory);
  a.ephemeralStorage = std::max(a.ephemeralStorage, b.ephemeralStorage);
  for (const auto& [name, v] : b.others) a.others[name] = std::max(a.others[name], v);
}

const ContainerStatus* statusOf(const codec::List<ContainerStatus>& statuses, std::string_view name) {
  for (const auto& s : statuses) {
    if (s.name == name) return &s;
  }
  return nullptr;
}

bool resizes(const Container& c, const codec::List<ContainerStatus>& statuses) {
  const ContainerStatus* s = statusOf(statuses, c.name);
  if (s == nullptr) return false;
  return (s->resources && !(s->resources->requests == c.resources.requests)) ||
         (!s->allocatedResources.empty() && !(s->allocatedResources == c.resources.requests));
}

Amounts containerRequests(const Container& c, const codec::List<ContainerStatus>* statuses,
                          bool withDefaults) {
  Amounts a = amountsOf(c.resources.requests);
  if (statuses != nullptr && resizes(c, *statuses)) {
    const ContainerStatus* s = statusOf(*statuses, c.name);
    if (s->resources) maximize(a, amountsOf(s->resources->requests));
    maximize(a, amountsOf(s->allocatedResources));
  }
  if (withDefaults) {
    if (!c.resources.requests.contains("cpu")) a.milliCpu = kDefaultMilliCpu;
    if (!c.resources.requests.contains("memory")) a.memory = kDefaultMemory;
  }
  return a;
}

// Requests of the pod as a whole take the place of the sum.
void applyPodLevel(Amounts& total, const Pod& pod) {
  if (!pod.spec.resources) return;
  for (const auto& [name, q] : pod.spec.resources->requests) {
    if (name == "cpu") {
      total.milliCpu = q.milliValue();
    } else if (name == "memory") {
      total.memory = q.value();
    } else if (name.view().starts_with("hugepages-")) {
      total.others[name.str()] = q.value();
    }
  }
}

Amounts requests(const Pod& pod, bool placed, bool withDefaults) {
  Amounts total, sidecars, init;
  const auto* status = placed ? &pod.status.containerStatuses : nullptr;
  const auto* initStatus = placed ? &pod.status.initContainerStatuses : nullptr;
  for (const auto& c : pod.spec.containers) total.add(containerRequests(c, status, withDefaults));
  for (const auto& c : pod.spec.initContainers) {
    Amounts one = containerRequests(c, initStatus, withDefaults);
    if (c.restartPolicy && *c.restartPolicy == "Always") {
      sidecars.add(one);
      maximize(init, sidecars);
      continue;
    }
    // An init step runs beside the sidecars that started before it.
    one.add(sidecars);
    maximize(init, one);
  }
  total.add(sidecars);
  maximize(total, init);
  applyPodLevel(total, pod);
  total.add(amountsOf(pod.spec.overhead));
  total.pods = 1;
  return total;
}

}  // namespace

void Amounts::add(const Amounts& o, int sign) {
  milliCpu += sign * o.milliCpu;
  memory += sign * o.memory;
  ephemeralStorage += sign * o.ephemeralStorage;
  pods += sign * o.pods;
  for (const auto& [name, v] : o.others) others[name] += sign * v;
}

Amounts amountsOf(const codec::Map<codec::Quantity>& list) {
  Amounts a;
  for (const auto& [name, q] : list) {
    if (name == "cpu") {
      a.milliCpu = q.milliValue();
    } else if (name == "memory") {
      a.memory = q.value();
    } else if (name == "ephemeral-storage") {
      a.ephemeralStorage = q.value();
    } else if (name == "pods") {
      a.pods = q.value();
    } else {
      a.others[name.str()] = q.value();
    }
  }
  return a;
}

Amounts podRequests(const Pod& pod, bool withDefaults) {
  return requests(pod, false, withDefaults);
}

Amounts placedRequests(const Pod& pod, bool withDefaults) {
  return requests(pod, true, withDefaults);
}

bool resizing(const Pod& pod) {
  auto any = [](const auto& containers, const auto& statuses) {
    return std::any_of(containers.begin(), containers.end(),
                       [&](const Container& c) { return resizes(c, statuses); });
  };
  return any(pod.spec.containers, pod.status.containerStatuses) ||
         any(pod.spec.initContainers, pod.status.initContainerStatuses);
}

bool HostPort::conflicts(const HostPort& o) const {
  return port == o.port && protocol == o.protocol && (ip == o.ip || ip == "0.0.0.0" || o.ip == "0.0.0.0");
}

std::vector<HostPort> hostPorts(const Pod& pod) {
  std::vector<HostPort> out;
  auto visit = [&](const Container& c) {
    for (const auto& p : c.ports) {
      if (p.hostPort == 0) continue;
      out.push_back({p.hostIP.empty() ? "0.0.0.0" : p.hostIP.str(),
                     p.protocol.empty() ? "TCP" : p.protocol.str(), p.hostPort});
    }
  };
  for (const auto& c : pod.spec.containers) visit(c);
  // Only sidecars stay; upstream counts no ports of init steps.
  for (const auto& c : pod.spec.initContainers) {
    if (c.restartPolicy && *c.restartPolicy == "Always") visit(c);
  }
  return out;
}

}  // namespace km::scheduler
