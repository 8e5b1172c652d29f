#include "kubelet/pod_runtime.h"

#include <algorithm>

#include "base/strings.h"

namespace km::kubelet {

std::vector<std::string> SandboxRecord::ips() const {
  std::vector<std::string> out;
  if (!status.network) return out;
  if (!status.network->ip.empty()) out.push_back(status.network->ip.str());
  for (const auto& a : status.network->additionalIps) out.push_back(a.ip.str());
  return out;
}

const ContainerRecord* RuntimePod::latest(std::string_view name) const {
  for (const auto& c : containers) {
    if (c.name == name) return &c;
  }
  return nullptr;
}

const ContainerRecord* RuntimePod::latestActive(std::string_view name) const {
  for (const auto& c : containers) {
    if (c.name == name && sandbox() && c.sandboxId == sandbox()->id) return &c;
  }
  return nullptr;
}

const ContainerRecord* RuntimePod::previous(std::string_view name) const {
  bool first = true;
  for (const auto& c : containers) {
    if (c.name == name && !std::exchange(first, false)) return &c;
  }
  return nullptr;
}

ContainerRecord* RuntimePod::byId(std::string_view id) {
  for (auto& c : containers) {
    if (c.id == id) return &c;
  }
  return nullptr;
}

bool RuntimePod::anyRunning() const {
  return std::any_of(containers.begin(), containers.end(), [](const auto& c) { return c.running() || c.unknown(); });
}

bool RuntimePod::anySandboxReady() const {
  return std::any_of(sandboxes.begin(), sandboxes.end(), [](const auto& s) { return s.ready(); });
}

void RuntimePod::sort() {
  std::stable_sort(sandboxes.begin(), sandboxes.end(), [](const auto& a, const auto& b) { return a.status.createdAt > b.status.createdAt; });
  std::stable_sort(containers.begin(), containers.end(), [](const auto& a, const auto& b) { return a.status.createdAt > b.status.createdAt; });
}

ContainerRecord recordOf(cri::ContainerStatus status, std::string sandboxId) {
  ContainerRecord r;
  r.id = status.id.str();
  r.sandboxId = std::move(sandboxId);
  r.name = status.labels.get(kContainerNameLabel).str();
  r.hash = status.annotations.get(kHashAnnotation).str();
  r.restartCount = static_cast<int>(parseInt64(status.annotations.get(kRestartCountAnnotation).view()).value_or(0));
  r.status = std::move(status);
  return r;
}

SandboxRecord recordOf(cri::PodSandboxStatus status) {
  SandboxRecord r;
  r.id = status.id.str();
  r.attempt = status.metadata ? status.metadata->attempt : 0;
  r.status = std::move(status);
  return r;
}

Result<std::map<std::string, RuntimePod>> listRuntimePods(cri::Runtime& runtime) {
  std::map<std::string, RuntimePod> out;
  KM_ASSIGN(auto sandboxes, runtime.listPodSandbox());
  KM_ASSIGN(auto containers, runtime.listContainers());
  for (const auto& s : sandboxes) {
    std::string uid = s.labels.get(kPodUidLabel).str();
    if (uid.empty()) continue;
    auto status = runtime.podSandboxStatus(s.id.str());
    if (!status.ok()) {
      if (status.status().code() == 404) continue;
      return status.status();
    }
    RuntimePod& pod = out[uid];
    pod.uid = uid;
    pod.name = s.labels.get(kPodNameLabel).str();
    pod.ns = s.labels.get(kPodNamespaceLabel).str();
    pod.sandboxes.push_back(recordOf(std::move(*status)));
  }
  for (const auto& c : containers) {
    auto it = out.find(c.labels.get(kPodUidLabel).str());
    if (it == out.end()) continue;
    auto status = runtime.containerStatus(c.id.str());
    if (!status.ok()) {
      if (status.status().code() == 404) continue;
      return status.status();
    }
    it->second.containers.push_back(recordOf(std::move(*status), c.podSandboxId.str()));
  }
  for (auto& [uid, pod] : out) pod.sort();
  return out;
}

}  // namespace km::kubelet
