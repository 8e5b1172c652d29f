#include "scheduler/node_table.h"

#include <algorithm>

#include "codec/proto.h"

namespace km::scheduler {
namespace {

constexpr std::string_view kZone = "topology.kubernetes.io/zone",
                           kOldZone = "failure-domain.beta.kubernetes.io/zone";
constexpr std::string_view kRegion = "topology.kubernetes.io/region",
                           kOldRegion = "failure-domain.beta.kubernetes.io/region";

// Region and zone, as upstream's GetZoneKey.
std::string zoneOf(const api::core_v1::Node& node) {
  auto get = [&](std::string_view old, std::string_view now) {
    const auto* v = node.metadata.labels.find(old);
    if (v == nullptr) v = node.metadata.labels.find(now);
    return v == nullptr ? std::string_view() : v->view();
  };
  std::string_view region = get(kOldRegion, kRegion), zone = get(kOldZone, kZone);
  if (region.empty() && zone.empty()) return "";
  return std::string(region) + ":\x01:" + std::string(zone);
}

}  // namespace

void NodeTable::grow() {
  rows_.emplace_back();
  for (auto* c : {&cpu, &memory, &storage, &podLimit, &usedCpu, &usedMemory, &usedStorage, &usedCpuNonZero,
                  &usedMemoryNonZero}) {
    c->push_back(0);
  }
  podCount.push_back(0);
  unschedulable.push_back(0);
  taints.push_back(0);
  for (auto& [key, c] : labels_) c->value.push_back(0);
  for (auto& [name, c] : resources_) {
    c->allocatable.push_back(0);
    c->requested.push_back(0);
  }
}

NodeId NodeTable::idOf(const std::string& name) {
  if (auto it = byName_.find(name); it != byName_.end()) return it->second;
  NodeId id;
  if (free_.empty()) {
    id = static_cast<NodeId>(rows_.size());
    grow();
  } else {
    id = free_.back();
    free_.pop_back();
  }
  rows_[id].name = name;
  byName_.emplace(name, id);
  return id;
}

NodeId NodeTable::find(std::string_view name) const {
  auto it = byName_.find(name);
  return it == byName_.end() ? kNoNode : it->second;
}

uint32_t NodeTable::taintsOf(const codec::List<api::core_v1::Taint>& list) {
  if (list.empty()) return 0;
  std::string key;
  for (const auto& t : list) {
    key.append(t.key).push_back('\0');
    key.append(t.value).push_back('\0');
    key.append(t.effect).push_back('\0');
  }
  auto [it, isNew] = taintIds_.try_emplace(std::move(key), static_cast<uint32_t>(taintLists_.size()));
  if (isNew) taintLists_.push_back(list);
  return it->second;
}

void NodeTable::setLabels(LabelColumn& c, NodeId id) const {
  const NodePtr& node = rows_[id].node;
  const codec::String* v = node ? node->metadata.labels.find(c.key) : nullptr;
  if (v == nullptr) {
    c.value[id] = 0;
    return;
  }
  auto [it, isNew] = c.ids.try_emplace(v->str(), c.count);
  if (isNew) c.count++;
  c.value[id] = it->second;
}

void NodeTable::set(NodePtr node) {
  NodeId id = idOf(node->metadata.name.str());
  NodeRow& row = rows_[id];
  NodePtr before = std::exchange(row.node, node);
  bool labels = !before || !(before->metadata.labels == node->metadata.labels);
  bool tainted = !before || !(before->spec.taints == node->spec.taints) ||
                 before->spec.unschedulable != node->spec.unschedulable;
  if (!before) count_++;
  if (labels) {
    orderStale_ = true;
    for (auto& [key, c] : labels_) setLabels(*c, id);
  }
  if (tainted) {
    taints[id] = taintsOf(node->spec.taints);
    unschedulable[id] = node->spec.unschedulable;
  }
  if (labels || tainted) layout_++;
  if (!before || !(before->status.images == node->status.images)) {
    imageVersion_++;
    for (const auto& [name, size] : row.images) imageNodes_[name]--;
    row.images.clear();
    for (const auto& i : node->status.images) {
      for (const auto& name : i.names) row.images[name.str()] = i.sizeBytes;
    }
    for (const auto& [name, size] : row.images) imageNodes_[name]++;
  }
  if (before && before->status.allocatable == node->status.allocatable) return;
  Amounts a = amountsOf(node->status.allocatable);
  cpu[id] = a.milliCpu;
  memory[id] = a.memory;
  storage[id] = a.ephemeralStorage;
  podLimit[id] = a.pods;
  for (auto& [name, c] : resources_) c->allocatable[id] = 0;
  for (const auto& [name, v] : a.others) resource(name).allocatable[id] = v;
}

void NodeTable::remove(const std::string& name) {
  NodeId id = find(name);
  if (id == kNoNode || !exists(id)) return;
  NodeRow& row = rows_[id];
  for (const auto& [image, size] : row.images) imageNodes_[image]--;
  row.images.clear();
  row.node.reset();
  count_--;
  orderStale_ = true;
  layout_++;
  imageVersion_++;
  for (auto& [key, c] : labels_) c->value[id] = 0;
  for (auto* c : {&cpu, &memory, &storage, &podLimit}) (*c)[id] = 0;
  for (auto& [resource, c] : resources_) c->allocatable[id] = 0;
  unschedulable[id] = 0;
  taints[id] = 0;
  release(id);
}

void NodeTable::release(NodeId id) {
  NodeRow& row = rows_[id];
  if (row.node || !row.pods.empty() || row.name.empty()) return;
  byName_.erase(row.name);
  row.name.clear();
  row.ports.clear();
  free_.push_back(id);
}

const std::vector<NodeId>& NodeTable::order() const {
  if (!orderStale_) return order_;
  orderStale_ = false;
  std::vector<std::vector<NodeId>> zones;
  std::unordered_map<std::string, size_t> zoneIndex;
  for (const auto& [name, id] : byName_) {
    if (!rows_[id].node) continue;
    auto [it, isNew] = zoneIndex.try_emplace(zoneOf(*rows_[id].node), zones.size());
    if (isNew) zones.emplace_back();
    zones[it->second].push_back(id);
  }
  order_.clear();
  order_.reserve(count_);
  for (size_t i = 0; order_.size() < count_; i++) {
    for (const auto& z : zones) {
      if (i < z.size()) order_.push_back(z[i]);
    }
  }
  return order_;
}

const LabelColumn& NodeTable::label(std::string_view key) {
  auto it = labels_.find(key);
  if (it != labels_.end()) return *it->second;
  auto c = std::make_unique<LabelColumn>();
  c->key = key;
  c->value.resize(rows_.size());
  for (NodeId id = 0; id < rows_.size(); id++) setLabels(*c, id);
  return *labels_.emplace(std::string(key), std::move(c)).first->second;
}

ResourceColumn& NodeTable::resource(const std::string& name) {
  auto& c = resources_[name];
  if (!c) {
    c = std::make_unique<ResourceColumn>();
    c->allocatable.resize(rows_.size());
    c->requested.resize(rows_.size());
  }
  return *c;
}

int NodeTable::nodesWithImage(const std::string& image) const {
  auto it = imageNodes_.find(image);
  return it == imageNodes_.end() ? 0 : it->second;
}

}  // namespace km::scheduler
