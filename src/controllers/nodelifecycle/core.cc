#include "controllers/nodelifecycle/core.h"

#include <algorithm>

#include "codec/ops.h"

namespace km::controllers::nodelifecycle {
namespace {

struct ConditionTaint {
  std::string_view condition, status, key;
};
constexpr ConditionTaint kConditionTaints[] = {
    {"Ready", "False", kNotReady},
    {"Ready", "Unknown", kUnreachable},
    {"MemoryPressure", "True", "node.kubernetes.io/memory-pressure"},
    {"DiskPressure", "True", "node.kubernetes.io/disk-pressure"},
    {"NetworkUnavailable", "True", "node.kubernetes.io/network-unavailable"},
    {"PIDPressure", "True", "node.kubernetes.io/pid-pressure"},
};
constexpr std::string_view kUnschedulable = "node.kubernetes.io/unschedulable";

bool isOurs(const Taint& t, std::string_view effect) {
  if (t.effect != effect) return false;
  if (effect == "NoExecute") return t.key == kNotReady || t.key == kUnreachable;
  if (t.key == kUnschedulable) return true;
  for (const auto& row : kConditionTaints) {
    if (t.key == row.key) return true;
  }
  return false;
}

Taint taint(std::string_view key, std::string_view effect) {
  Taint t;
  t.key = key;
  t.effect = effect;
  return t;
}

}  // namespace

const NodeCondition* findCondition(const Node& node, std::string_view type) {
  for (const auto& c : node.status.conditions) {
    if (c.type == type) return &c;
  }
  return nullptr;
}

std::string_view readyStatus(const Node& node) {
  const NodeCondition* c = findCondition(node, "Ready");
  return c == nullptr ? std::string_view("Unknown") : c->status.view();
}

bool observe(Health& h, const Node& node, const api::coordination_v1::Lease* lease, Duration now) {
  bool alive = h.probe == Duration(0);
  const NodeCondition* c = findCondition(node, "Ready");
  if (c != nullptr) {
    if (!h.ready || h.ready->lastHeartbeatTime != c->lastHeartbeatTime) alive = true;
    h.ready = *c;
  } else {
    h.ready.reset();
  }
  if (lease != nullptr && lease->spec.renewTime) {
    std::string renewed = lease->spec.renewTime->str();
    if (renewed > h.renewTime) {
      h.renewTime = renewed;
      alive = true;
    }
  }
  if (alive) h.probe = now;
  return alive;
}

bool markUnknown(Node& node, WallTime now) {
  bool changed = false;
  for (std::string_view type : {"Ready", "MemoryPressure", "DiskPressure", "PIDPressure"}) {
    NodeCondition* c = const_cast<NodeCondition*>(findCondition(node, type));
    if (c == nullptr) {
      c = &node.status.conditions.add();
      c->type = type;
      c->reason = "NodeStatusNeverUpdated";
      c->message = "Kubelet never posted node status.";
      c->lastHeartbeatTime = node.metadata.creationTimestamp;
    } else if (c->status == "Unknown") {
      continue;
    } else {
      c->reason = "NodeStatusUnknown";
      c->message = "Kubelet stopped posting node status.";
    }
    c->status = "Unknown";
    c->lastTransitionTime = codec::Time(now);
    changed = true;
  }
  return changed;
}

std::vector<Taint> conditionTaints(const Node& node) {
  std::vector<Taint> out;
  for (const auto& row : kConditionTaints) {
    const NodeCondition* c = findCondition(node, row.condition);
    if (c != nullptr && c->status == row.status) out.push_back(taint(row.key, "NoSchedule"));
  }
  if (node.spec.unschedulable) out.push_back(taint(kUnschedulable, "NoSchedule"));
  return out;
}

bool replaceTaints(Node& node, const std::vector<Taint>& wanted, std::string_view effect, WallTime now) {
  auto has = [](const auto& list, const Taint& t) {
    return std::any_of(list.begin(), list.end(), [&](const Taint& x) { return x.key == t.key && x.effect == t.effect; });
  };
  bool changed = node.spec.taints.eraseIf([&](const Taint& t) { return isOurs(t, effect) && !has(wanted, t); }) > 0;
  for (Taint t : wanted) {
    if (has(node.spec.taints, t)) continue;
    t.timeAdded = codec::Time(now);
    node.spec.taints.push_back(std::move(t));
    changed = true;
  }
  return changed;
}

std::optional<Taint> evictionTaint(const Node& node) {
  const NodeCondition* c = findCondition(node, "Ready");
  if (c == nullptr) return std::nullopt;
  if (c->status == "False") return taint(kNotReady, "NoExecute");
  if (c->status == "Unknown") return taint(kUnreachable, "NoExecute");
  return std::nullopt;
}

bool reconcileLabels(Node& node) {
  bool changed = false;
  auto& labels = node.metadata.labels;
  for (auto [from, to] : {std::pair("kubernetes.io/os", "beta.kubernetes.io/os"),
                          std::pair("kubernetes.io/arch", "beta.kubernetes.io/arch")}) {
    const codec::String* value = labels.find(from);
    if (value == nullptr) continue;
    const codec::String* old = labels.find(to);
    if (old != nullptr && *old == *value) continue;
    codec::String copy = *value;
    labels[to] = copy;
    changed = true;
  }
  return changed;
}

ZoneState zoneState(int ready, int notReady, double threshold) {
  if (ready == 0 && notReady > 0) return ZoneState::kFullDisruption;
  if (notReady > 2 && static_cast<double>(notReady) / (notReady + ready) >= threshold) {
    return ZoneState::kPartialDisruption;
  }
  return ZoneState::kNormal;
}

std::string zoneOf(const Node& node) {
  auto label = [&](std::string_view stable, std::string_view old) {
    const codec::String* v = node.metadata.labels.find(stable);
    if (v == nullptr) v = node.metadata.labels.find(old);
    return v == nullptr ? std::string() : v->str();
  };
  std::string region = label("topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region");
  std::string zone = label("topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone");
  return region.empty() && zone.empty() ? "" : region + ":" + zone;
}

}  // namespace km::controllers::nodelifecycle
