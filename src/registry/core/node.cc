#include "registry/core/node.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"
#include "codec/json.h"
#include "codec/ops.h"
#include "registry/cells.h"
#include "registry/ip.h"
#include "registry/kinds.h"
#include "registry/rules.h"

namespace km::registry {

namespace v1 = api::core_v1;

void validateTaints(const codec::List<v1::Taint>& taints, const Path& p, FieldErrors& errors) {
  for (size_t i = 0; i < taints.size(); i++) {
    const auto& t = taints[i];
    Path at = p.index(i);
    labelName(t.key, at.child("key"), errors);
    auto bad = api::isValidLabelValue(t.value);
    if (!bad.empty()) errors.invalid(at.child("value"), t.value.view(), joined(bad, ";"));
    oneOf(t.effect, {"NoSchedule", "PreferNoSchedule", "NoExecute"}, at.child("effect"), errors);
    for (size_t k = 0; k < i; k++) {
      if (taints[k].key == t.key && taints[k].effect == t.effect) {
        errors.duplicate(at, BadValue::raw(structValue(t).text + ": taints must be unique by key and effect pair"));
        break;
      }
    }
  }
}

namespace {

using v1::Node;

void validateResources(const Node& n, FieldErrors& errors) {
  for (const auto& [name, q] : n.status.capacity) {
    validateQuantityOf(name, q, Path("status.capacity").child(name), errors);
  }
  for (const auto& [name, q] : n.status.allocatable) {
    validateQuantityOf(name, q, Path("status.allocatable").child(name), errors);
  }
}

void validateFeatures(const Node& n, FieldErrors& errors) {
  const auto& f = n.status.declaredFeatures;
  for (size_t i = 1; i < f.size(); i++) {
    Path p = Path("status.declaredFeatures").index(i);
    if (f[i] == f[i - 1]) {
      errors.duplicate(p, f[i].view());
    } else if (f[i] < f[i - 1]) {
      errors.invalid(p, f[i].view(), "list must be sorted alphabetically");
    }
  }
}

void validateAnnotations(const Node& n, FieldErrors& errors) {
  constexpr std::string_view kAvoid = "scheduler.alpha.kubernetes.io/preferAvoidPods";
  const codec::String* text = n.metadata.annotations.find(kAvoid);
  if (text == nullptr || text->empty()) return;
  Path p("metadata.annotations");
  v1::AvoidPods avoid;
  if (Status s = codec::decodeJson(*text, &avoid, v1::AvoidPods::kType, nullptr); !s.ok()) {
    return errors.invalid(p.child("AvoidPods"), kAvoid, s.message());
  }
  for (size_t i = 0; i < avoid.preferAvoidPods.size(); i++) {
    Path at = p.child(kAvoid).index(i).child("PodSignature");
    const auto& controller = avoid.preferAvoidPods[i].podSignature.podController;
    if (!controller) {
      errors.required(at, "");
    } else if (!controller->controller.value_or(false)) {
      errors.invalid(at.child("PodController.Controller"), false, "must point to a controller");
    }
  }
}

void validateNode(const Node& n, FieldErrors& errors) {
  validateAnnotations(n, errors);
  if (!n.spec.taints.empty()) validateTaints(n.spec.taints, Path("metadata.taints"), errors);
  validateResources(n, errors);
  if (n.status.nodeInfo.swap && n.status.nodeInfo.swap->capacity) {
    positive(*n.status.nodeInfo.swap->capacity, Path("metadata.nodeSwapStatus.capacity"), errors);
  }
  validateFeatures(n, errors);
  Path cidrs("spec.podCIDRs");
  const auto& list = n.spec.podCIDRs;
  if (list.empty()) return;
  for (size_t i = 0; i < list.size(); i++) validateLegacyCidr(cidrs.index(i), list[i], errors);
  if (list.size() < 2) return;
  bool four = false, six = false;
  for (const auto& text : list) {
    auto cidr = Cidr::parseSloppy(text);
    if (!cidr) {
      errors.internal(cidrs, fmt::format("invalid PodCIDRs. failed to check with dual stack with error:invalid CIDR[1]: <nil> (invalid "
                                         "CIDR address: {})", text));
      break;
    }
    (cidr->is4() ? four : six) = true;
  }
  if (!four || !six || list.size() > 2) {
    errors.invalid(cidrs, listValue(list), "may specify no more than one CIDR for each IP family");
  }
}

void validateNodeUpdate(const Node& n, const Node& old, FieldErrors& errors) {
  validateAnnotations(n, errors);
  validateResources(n, errors);
  validateFeatures(n, errors);
  for (size_t i = 0; i < n.status.addresses.size(); i++) {
    for (size_t k = 0; k < i; k++) {
      if (n.status.addresses[k].type == n.status.addresses[i].type && n.status.addresses[k].address == n.status.addresses[i].address) {
        errors.duplicate(Path("status.addresses").index(i), structValue(n.status.addresses[i]));
        break;
      }
    }
  }
  if (!old.spec.podCIDRs.empty()) {
    constexpr char kFixed[] = "node updates may not change podCIDR except from \"\" to valid";
    if (old.spec.podCIDRs.size() != n.spec.podCIDRs.size()) {
      errors.forbidden(Path("spec.podCIDRs"), kFixed);
    } else {
      for (size_t i = 0; i < n.spec.podCIDRs.size(); i++) {
        if (!(n.spec.podCIDRs[i] == old.spec.podCIDRs[i])) errors.forbidden(Path("spec.podCIDRs"), kFixed);
      }
    }
  }
  if (!old.spec.providerID.empty() && !(old.spec.providerID == n.spec.providerID)) {
    errors.forbidden(Path("spec.providerID"), "node updates may not change providerID except from \"\" to valid");
  }
  if (!n.spec.taints.empty()) validateTaints(n.spec.taints, Path("metadata.taints"), errors);
  if (!(n.spec.externalID == old.spec.externalID)) errors.forbidden(Path("spec.externalID"), "may not be updated");
}

std::string statusText(const Node& n) {
  std::string out = "Unknown";
  for (const auto& c : n.status.conditions) {
    if (c.type == "Ready") out = c.status == "True" ? "Ready" : "NotReady";
  }
  return n.spec.unschedulable ? out + ",SchedulingDisabled" : out;
}

std::string rolesText(const Node& n) {
  constexpr std::string_view kPrefix = "node-role.kubernetes.io/";
  std::set<std::string> roles;
  for (const auto& [key, value] : n.metadata.labels) {
    if (key.view().starts_with(kPrefix)) {
      if (key.size() > kPrefix.size()) roles.emplace(key.view().substr(kPrefix.size()));
    } else if (key == "kubernetes.io/role" && !value.empty()) {
      roles.insert(value.str());
    }
  }
  return roles.empty() ? "<none>" : fmt::format("{}", fmt::join(roles, ","));
}

std::string addressText(const Node& n, std::string_view type) {
  for (const auto& a : n.status.addresses) {
    if (a.type == type) return a.address.str();
  }
  return "<none>";
}

std::string orUnknown(const codec::String& s) { return s.empty() ? "<unknown>" : s.str(); }

class NodeStrategy : public Strategy {
 public:
  // Upstream keeps one list: the old field is its first address, and wins where they differ.
  void setDefaults(api::Object& o) const override {
    Strategy::setDefaults(o);
    auto& s = o.as<Node>().spec;
    if (!s.podCIDR.empty() && (s.podCIDRs.empty() || !(s.podCIDRs[0] == s.podCIDR))) s.podCIDRs = {s.podCIDR};
    if (s.podCIDR.empty() && !s.podCIDRs.empty()) s.podCIDR = s.podCIDRs[0];
  }
  // A node may be registered with its status.
  void prepareForCreate(const Context&, api::Object& o) const override {
    auto& n = o.as<Node>();
    n.spec.configSource.reset();
    n.status.config.reset();
    n.status.declaredFeatures.clear();
  }
  void prepareForUpdate(const Context& c, api::Object& o, const api::Object& old) const override {
    auto& n = o.as<Node>();
    const auto& was = old.as<Node>();
    if (c.subresource == "status") {
      copyPart(o, old, "spec");
      if (!was.status.config) n.status.config.reset();
      return;
    }
    copyPart(o, old, "status");
    if (!was.spec.configSource) n.spec.configSource.reset();
  }
  void validateCreate(const Context&, const api::Object& o, FieldErrors& errors) const override {
    validateNode(o.as<Node>(), errors);
  }
  void validateUpdate(const Context&, const api::Object& o, const api::Object& old, FieldErrors& errors) const override {
    validateNode(o.as<Node>(), errors);
    validateNodeUpdate(o.as<Node>(), old.as<Node>(), errors);
  }
  void validateStatusUpdate(const Context&, const api::Object& o, const api::Object& old, FieldErrors& errors) const override {
    validateNodeUpdate(o.as<Node>(), old.as<Node>(), errors);
  }
  void warnings(const Context& c, const api::Object& o, const api::Object* old) const override {
    if (c.subresource == "status") return;
    const auto& s = o.as<Node>().spec;
    if (s.configSource) c.warn("spec.configSource: the feature is removed");
    if (!s.externalID.empty()) c.warn("spec.externalID: this field is deprecated, and is unused by Kubernetes");
    for (size_t i = 0; i < s.podCIDRs.size(); i++) {
      for (auto& w : cidrWarnings(Path("spec.podCIDRs").index(i), s.podCIDRs[i])) c.warn(std::move(w));
    }
  }
  bool hasGeneration() const override { return false; }
  std::vector<std::string> cells(const api::Resource&, const api::Object& o, WallTime now) const override {
    const auto& n = o.as<Node>();
    const auto& info = n.status.nodeInfo;
    std::string kernel = orUnknown(info.kernelVersion);
    if (!info.architecture.empty()) kernel += " (" + info.architecture.str() + ")";
    return {textCell(o.name()),
            textCell(statusText(n)),
            textCell(rolesText(n)),
            ageCell(o, now),
            textCell(info.kubeletVersion),
            textCell(addressText(n, "InternalIP")),
            textCell(addressText(n, "ExternalIP")),
            textCell(orUnknown(info.osImage)),
            textCell(kernel),
            textCell(orUnknown(info.containerRuntimeVersion))};
  }
};

}  // namespace

std::unique_ptr<Strategy> makeNode() { return std::make_unique<NodeStrategy>(); }

}  // namespace km::registry
