// Whether a node is alive, by its status and lease, and which taints follow from its conditions. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/types/coordination_v1.h"
#include "api/types/core_v1.h"
#include "base/clock.h"

namespace km::controllers::nodelifecycle {

using api::core_v1::Node;
using api::core_v1::NodeCondition;
using api::core_v1::Taint;

inline constexpr std::string_view kNotReady = "node.kubernetes.io/not-ready";
inline constexpr std::string_view kUnreachable = "node.kubernetes.io/unreachable";

const NodeCondition* findCondition(const Node& node, std::string_view type);
// "True", "False" or "Unknown" of the Ready condition; "Unknown" without one.
std::string_view readyStatus(const Node& node);

// What this process has seen of a node's heartbeats, on its own clock: clocks of nodes are never compared with it.
struct Health {
  Duration probe{0};  // the last sign of life
  std::optional<NodeCondition> ready;
  std::string renewTime;  // of the lease
};
// Takes a look at the node and its lease (may be null); true if there was a sign of life.
bool observe(Health& health, const Node& node, const api::coordination_v1::Lease* lease, Duration now);

// The status of a node that gave no sign of life for too long: the conditions that the kubelet keeps become Unknown. True if
// something changed.
bool markUnknown(Node& node, WallTime now);

// NoSchedule taints that follow from conditions and spec.unschedulable.
std::vector<Taint> conditionTaints(const Node& node);
// Replaces the taints of this controller with `wanted`; true if something changed. `effect`: of the taints that are looked at.
bool replaceTaints(Node& node, const std::vector<Taint>& wanted, std::string_view effect, WallTime now);
// The NoExecute taint that the Ready condition asks for; nullopt: none.
std::optional<Taint> evictionTaint(const Node& node);

// beta.kubernetes.io/os and /arch follow the stable labels; true if something changed.
bool reconcileLabels(Node& node);

// How bad a zone is off.
enum class ZoneState { kNormal, kPartialDisruption, kFullDisruption };
ZoneState zoneState(int ready, int notReady, double unhealthyThreshold);
std::string zoneOf(const Node& node);

}  // namespace km::controllers::nodelifecycle
