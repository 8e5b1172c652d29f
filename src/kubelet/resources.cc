#include "kubelet/resources.h"

#include <algorithm>

#include "base/files.h"
#include "base/strings.h"

namespace km::kubelet {
namespace {

constexpr int64_t kPeriod = 100'000;  // microseconds

int64_t milliOf(const codec::Map<codec::Quantity>& m, std::string_view name) {
  const codec::Quantity* q = m.find(name);
  return q ? q->milliValue() : 0;
}
int64_t valueOf(const codec::Map<codec::Quantity>& m, std::string_view name) {
  const codec::Quantity* q = m.find(name);
  return q ? q->value() : 0;
}

int ownOomScoreAdj() {
  static const int value = [] {
    auto text = readFile("/proc/self/oom_score_adj");
    return text.ok() ? static_cast<int>(parseInt64(trimSpace(*text)).value_or(0)) : 0;
  }();
  return value;
}

// One resource of a pod by upstream's rule; `unlimited`: a main container without a value leaves the sum without one.
template <typename Get>
int64_t sum(const v1::Pod& pod, bool unlimited, Get get) {
  int64_t main = 0, sidecars = 0, init = 0;
  for (const auto& c : pod.spec.containers) {
    int64_t v = get(c);
    if (v == 0 && unlimited) return 0;
    main += v;
  }
  for (const auto& c : pod.spec.initContainers) {
    int64_t v = get(c);
    if (isRestartableInit(c)) {
      if (v == 0 && unlimited) return 0;
      sidecars += v;
      init = std::max(init, sidecars);
    } else {
      init = std::max(init, sidecars + v);
    }
  }
  return std::max(main + sidecars, init);
}

}  // namespace

int64_t cpuShares(int64_t milli) {
  if (milli == 0) return 2;
  return std::clamp<int64_t>(milli * 1024 / 1000, 2, 262144);
}

int64_t cpuQuota(int64_t milli) {
  if (milli == 0) return 0;
  return std::max<int64_t>(milli * kPeriod / 1000, 1000);
}

int oomScoreAdj(const v1::Pod& pod, const v1::Container& c, int64_t capacity) {
  if (pod.spec.priority && *pod.spec.priority >= 2'000'000'000 + 1000) return -997;  // node critical
  std::string qos = qosClass(pod);
  if (qos == "Guaranteed") return -997;
  if (qos == "BestEffort") return 1000;
  if (capacity <= 0) return 999;
  int64_t v = 1000 - 1000 * valueOf(c.resources.requests, "memory") / capacity;
  if (v < 3) return 3;
  return static_cast<int>(v == 1000 ? 999 : v);
}

api::cri_runtime_v1::LinuxContainerResources containerResources(const Options& options, const v1::Pod& pod, const v1::Container& c, int64_t memoryCapacity) {
  api::cri_runtime_v1::LinuxContainerResources r;
  const auto& res = c.resources;
  int64_t limit = milliOf(res.limits, "cpu");
  bool requested = res.requests.contains("cpu");
  r.cpuShares = cpuShares(requested || limit == 0 ? milliOf(res.requests, "cpu") : limit);
  if (limit > 0) {
    r.cpuPeriod = kPeriod;
    r.cpuQuota = cpuQuota(limit);
  }
  r.memoryLimitInBytes = valueOf(res.limits, "memory");
  int oom = oomScoreAdj(pod, c, memoryCapacity);
  r.oomScoreAdj = options.restrictOomScoreAdj ? std::max(oom, ownOomScoreAdj()) : oom;
  return r;
}

PodResources podResources(const v1::Pod& pod) {
  PodResources r;
  r.cpuRequestMilli = sum(pod, false, [](const v1::Container& c) { return milliOf(c.resources.requests, "cpu"); });
  r.memoryRequest = sum(pod, false, [](const v1::Container& c) { return valueOf(c.resources.requests, "memory"); });
  r.cpuLimitMilli = sum(pod, true, [](const v1::Container& c) { return milliOf(c.resources.limits, "cpu"); });
  r.memoryLimit = sum(pod, true, [](const v1::Container& c) { return valueOf(c.resources.limits, "memory"); });
  if (pod.spec.resources) {
    if (int64_t v = milliOf(pod.spec.resources->requests, "cpu")) r.cpuRequestMilli = v;
    if (int64_t v = valueOf(pod.spec.resources->requests, "memory")) r.memoryRequest = v;
    if (int64_t v = milliOf(pod.spec.resources->limits, "cpu")) r.cpuLimitMilli = v;
    if (int64_t v = valueOf(pod.spec.resources->limits, "memory")) r.memoryLimit = v;
  }
  r.cpuRequestMilli += milliOf(pod.spec.overhead, "cpu");
  r.memoryRequest += valueOf(pod.spec.overhead, "memory");
  if (r.cpuLimitMilli) r.cpuLimitMilli += milliOf(pod.spec.overhead, "cpu");
  if (r.memoryLimit) r.memoryLimit += valueOf(pod.spec.overhead, "memory");
  return r;
}

std::string cgroupParent(const v1::Pod& pod) {
  std::string qos = qosClass(pod);
  std::string uid = "pod" + pod.metadata.uid.str();
  if (qos == "Guaranteed") return "/kubepods/" + uid;
  return (qos == "Burstable" ? "/kubepods/burstable/" : "/kubepods/besteffort/") + uid;
}

}  // namespace km::kubelet
