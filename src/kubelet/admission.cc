#include "kubelet/admission.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/strings.h"
#include "kubelet/resources.h"

namespace km::kubelet {
namespace {

enum class Needs { kNothing, kIpc, kNetwork };
struct Sysctl {
  std::string_view name;
  Needs needs;
};
// Those that are kept apart by namespace and harm nobody else.
constexpr Sysctl kSafe[] = {
    {"kernel.shm_rmid_forced", Needs::kIpc},
    {"net.ipv4.ip_local_port_range", Needs::kNetwork},
    {"net.ipv4.tcp_syncookies", Needs::kNetwork},
    {"net.ipv4.ping_group_range", Needs::kNetwork},
    {"net.ipv4.ip_unprivileged_port_start", Needs::kNetwork},
    {"net.ipv4.ip_local_reserved_ports", Needs::kNetwork},
    {"net.ipv4.tcp_keepalive_time", Needs::kNetwork},
    {"net.ipv4.tcp_fin_timeout", Needs::kNetwork},
    {"net.ipv4.tcp_keepalive_intvl", Needs::kNetwork},
    {"net.ipv4.tcp_keepalive_probes", Needs::kNetwork},
    {"net.ipv4.tcp_rmem", Needs::kNetwork},
    {"net.ipv4.tcp_wmem", Needs::kNetwork},
};

bool fits(const v1::NodeSelectorRequirement& r, const codec::String* value) {
  std::string_view op = r.operator_;
  auto in = [&] {
    return value &&
           std::any_of(r.values.begin(), r.values.end(), [&](const auto& v) { return v == value->view(); });
  };
  if (op == "In") return in();
  if (op == "NotIn") return !in();
  if (op == "Exists") return value != nullptr;
  if (op == "DoesNotExist") return value == nullptr;
  if (!value || r.values.size() != 1) return false;
  auto mine = parseInt64(value->view()), theirs = parseInt64(r.values[0].view());
  if (!mine || !theirs) return false;
  return op == "Gt" ? *mine > *theirs : op == "Lt" && *mine < *theirs;
}

bool fits(const v1::NodeSelectorTerm& term, const AdmittingNode& node) {
  if (term.matchExpressions.empty() && term.matchFields.empty())
    return false;  // an empty term matches nothing
  for (const auto& r : term.matchExpressions) {
    if (!fits(r, node.labels.find(r.key))) return false;
  }
  codec::String name(node.name);
  for (const auto& r : term.matchFields) {
    if (!fits(r, r.key == "metadata.name" ? &name : nullptr)) return false;
  }
  return true;
}

int64_t amount(const codec::Map<codec::Quantity>& m, std::string_view resource) {
  const codec::Quantity* q = m.find(resource);
  return !q ? 0 : resource == "cpu" ? q->milliValue() : q->value();
}

// What a pod asks for, init containers counted as they overlap; cpu in thousandths.
std::map<std::string, int64_t> requests(const v1::Pod& pod) {
  std::map<std::string, int64_t> out, sidecars, init;
  for (const auto& c : pod.spec.containers) {
    for (const auto& [name, q] : c.resources.requests) out[name.str()] += amount(c.resources.requests, name);
  }
  for (const auto& c : pod.spec.initContainers) {
    for (const auto& [name, q] : c.resources.requests) {
      int64_t v = amount(c.resources.requests, name);
      int64_t& peak = init[name.str()];
      int64_t& kept = sidecars[name.str()];
      peak = std::max(peak, kept + v);
      if (isRestartableInit(c)) kept += v;
    }
  }
  for (const auto& [name, v] : sidecars) out[name] += v;
  for (const auto& [name, v] : init) out[name] = std::max(out[name], v);
  for (const auto& [name, q] : pod.spec.overhead) out[name.str()] += amount(pod.spec.overhead, name);
  return out;
}

}  // namespace

bool matchesNode(const v1::Pod& pod, const AdmittingNode& node) {
  for (const auto& [key, value] : pod.spec.nodeSelector) {
    const codec::String* have = node.labels.find(key);
    if (!have || *have != value.view()) return false;
  }
  if (!pod.spec.affinity || !pod.spec.affinity->nodeAffinity) return true;
  const auto& required = pod.spec.affinity->nodeAffinity->requiredDuringSchedulingIgnoredDuringExecution;
  if (!required) return true;
  const auto& terms = required->nodeSelectorTerms;
  return std::any_of(terms.begin(), terms.end(), [&](const auto& t) { return fits(t, node); });
}

std::optional<Rejection> rejectSysctls(const v1::Pod& pod) {
  if (!pod.spec.securityContext) return std::nullopt;
  for (const auto& s : pod.spec.securityContext->sysctls) {
    std::string name = s.name.str();
    std::replace(name.begin(), name.end(), '/', '.');
    auto found =
        std::find_if(std::begin(kSafe), std::end(kSafe), [&](const Sysctl& k) { return k.name == name; });
    if (found == std::end(kSafe))
      return Rejection{"SysctlForbidden",
                       fmt::format("forbidden sysctl: \"{}\" not allowlisted", s.name.view())};
    if (found->needs == Needs::kNetwork && pod.spec.hostNetwork) {
      return Rejection{
          "SysctlForbidden",
          fmt::format("forbidden sysctl: \"{}\" not allowed with host net enabled", s.name.view())};
    }
    if (found->needs == Needs::kIpc && pod.spec.hostIPC) {
      return Rejection{
          "SysctlForbidden",
          fmt::format("forbidden sysctl: \"{}\" not allowed with host ipc enabled", s.name.view())};
    }
  }
  return std::nullopt;
}

std::optional<Rejection> rejectPod(const v1::Pod& pod, const std::vector<PodPtr>& others,
                                   const AdmittingNode& node) {
  if (auto no = rejectSysctls(pod)) return no;
  auto lacks = [&](std::string_view resource, int64_t wanted, int64_t used) -> std::optional<Rejection> {
    const codec::Quantity* capacity = node.allocatable.find(resource);
    if (!capacity && resource != "cpu" && resource != "memory" && resource != "ephemeral-storage" &&
        !contains(resource, "/"))
      return std::nullopt;
    int64_t have = capacity ? amount(node.allocatable, resource) : 0;
    if (wanted == 0 || used + wanted <= have) return std::nullopt;
    return Rejection{
        fmt::format("OutOf{}", resource),
        fmt::format("Node didn't have enough resource: {}, requested: {}, used: {}, capacity: {}", resource,
                    wanted, used, have)};
  };
  if (auto no = lacks("pods", 1, static_cast<int64_t>(others.size()))) return no;
  std::map<std::string, int64_t> used;
  for (const auto& other : others) {
    for (const auto& [name, v] : requests(*other)) used[name] += v;
  }
  for (const auto& [name, v] : requests(pod)) {
    if (auto no = lacks(name, v, used[name])) return no;
  }
  if (!matchesNode(pod, node))
    return Rejection{"NodeAffinity",
                     "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector"};
  return std::nullopt;
}

}  // namespace km::kubelet
