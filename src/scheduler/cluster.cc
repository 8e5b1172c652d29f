#include "scheduler/cluster.h"

#include <algorithm>

namespace km::scheduler {
namespace {

constexpr int64_t kDefaultMilliCpu = 100;
constexpr int64_t kDefaultMemory = 200 * 1024 * 1024;

void maximize(Amounts& a, const Amounts& b) {
  a.milliCpu = std::max(a.milliCpu, b.milliCpu);
  a.memory = std::max(a.memory, b.memory);
  a.ephemeralStorage = std::max(a.ephemeralStorage, b.ephemeralStorage);
  for (const auto& [name, v] : b.others) a.others[name] = std::max(a.others[name], v);
}

Amounts containerRequests(const api::core_v1::Container& c, bool withDefaults) {
  Amounts a = amountsOf(c.resources.requests);
  if (withDefaults) {
    if (!c.resources.requests.contains("cpu")) a.milliCpu = kDefaultMilliCpu;
    if (!c.resources.requests.contains("memory")) a.memory = kDefaultMemory;
  }
  return a;
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

Amounts podRequests(const api::core_v1::Pod& pod, bool withDefaults) {
  Amounts total, sidecars, init;
  for (const auto& c : pod.spec.containers) total.add(containerRequests(c, withDefaults));
  for (const auto& c : pod.spec.initContainers) {
    Amounts one = containerRequests(c, withDefaults);
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
  total.add(amountsOf(pod.spec.overhead));
  total.pods = 1;
  return total;
}

std::vector<HostPort> hostPorts(const api::core_v1::Pod& pod) {
  std::vector<HostPort> out;
  auto visit = [&](const auto& containers) {
    for (const auto& c : containers) {
      for (const auto& p : c.ports) {
        if (p.hostPort == 0) continue;
        out.push_back({p.hostIP.empty() ? "0.0.0.0" : p.hostIP.str(), p.protocol.empty() ? "TCP" : p.protocol.str(), p.hostPort});
      }
    }
  };
  visit(pod.spec.containers);
  visit(pod.spec.initContainers);
  return out;
}

bool NodeInfo::conflicts(const HostPort& p) const {
  return std::any_of(ports.begin(), ports.end(), [&](const HostPort& have) {
    return have.port == p.port && have.protocol == p.protocol && (have.ip == p.ip || have.ip == "0.0.0.0" || p.ip == "0.0.0.0");
  });
}

void Cluster::reorder() {
  order_.clear();
  for (auto& [name, info] : byName_) {
    if (info->node) order_.push_back(info.get());
  }
}

NodeInfo* Cluster::find(const std::string& name) {
  auto it = byName_.find(name);
  return it == byName_.end() ? nullptr : it->second.get();
}

int Cluster::nodesWithImage(const std::string& image) const {
  auto it = imageNodes_.find(image);
  return it == imageNodes_.end() ? 0 : it->second;
}

void Cluster::setNode(NodePtr node) {
  auto& info = byName_[node->metadata.name.str()];
  if (!info) info = std::make_unique<NodeInfo>();
  bool isNew = !info->node;
  for (const auto& [name, size] : info->images) imageNodes_[name]--;
  info->images.clear();
  for (const auto& i : node->status.images) {
    for (const auto& name : i.names) info->images[name.str()] = i.sizeBytes;
  }
  for (const auto& [name, size] : info->images) imageNodes_[name]++;
  info->allocatable = amountsOf(node->status.allocatable);
  info->node = std::move(node);
  if (isNew) reorder();
}

void Cluster::removeNode(const std::string& name) {
  NodeInfo* info = find(name);
  if (info == nullptr) return;
  for (const auto& [image, size] : info->images) imageNodes_[image]--;
  info->images.clear();
  info->node.reset();
  // Pods may still be told to be there; their node goes with the last of them.
  if (info->pods.empty()) byName_.erase(name);
  reorder();
}

void Cluster::place(const PodPtr& pod, const std::string& node, int sign) {
  auto& info = byName_[node];
  if (!info) info = std::make_unique<NodeInfo>();
  info->requested.add(podRequests(*pod), sign);
  info->requestedNonZero.add(podRequests(*pod, true), sign);
  for (const HostPort& p : hostPorts(*pod)) {
    if (sign > 0) {
      info->ports.insert(p);
    } else {
      info->ports.erase(p);
    }
  }
  if (sign > 0) {
    info->pods[pod->metadata.uid.str()] = pod;
    return;
  }
  info->pods.erase(pod->metadata.uid.str());
  if (info->pods.empty() && !info->node) byName_.erase(node);
}

void Cluster::setPod(PodPtr pod) {
  std::string uid = pod->metadata.uid.str();
  removePod(uid);
  std::string node = pod->spec.nodeName.str();
  place(pod, node, 1);
  podNode_[uid] = {node, std::move(pod)};
}

void Cluster::removePod(const std::string& uid) {
  assumed_.erase(uid);
  auto it = podNode_.find(uid);
  if (it == podNode_.end()) return;
  auto [node, pod] = it->second;
  podNode_.erase(it);
  place(pod, node, -1);
}

void Cluster::assume(const api::core_v1::Pod& pod, const std::string& node) {
  auto copy = std::make_shared<api::core_v1::Pod>(pod);
  copy->spec.nodeName = node;
  std::string uid = pod.metadata.uid.str();
  setPod(std::move(copy));
  assumed_.insert(uid);
}

void Cluster::forget(const std::string& uid) {
  if (assumed_.contains(uid)) removePod(uid);
}

}  // namespace km::scheduler
