// NodeRestriction: a kubelet changes only its own Node and the pods that are bound to it.
#include <fmt/format.h>

#include "admission/plugins.h"
#include "api/types/authentication_v1.h"
#include "api/types/coordination_v1.h"
#include "api/types/core_v1.h"
#include "codec/ops.h"

namespace km::admission {
namespace {

using api::core_v1::Node;
using api::core_v1::Pod;

// The node that a user is, or "".
std::string nodeOf(const authn::UserInfo& user) {
  if (!user.in(authn::kNodes) || !user.name.starts_with(authn::kNodePrefix)) return "";
  return user.name.substr(authn::kNodePrefix.size());
}

// Labels that a kubelet may set on itself although they lie in kubernetes.io.
bool allowedLabel(std::string_view key) {
  size_t slash = key.find('/');
  if (slash == std::string_view::npos) return true;
  std::string_view domain = key.substr(0, slash);
  if (domain == "kubelet.kubernetes.io" || domain.ends_with(".kubelet.kubernetes.io") || domain == "node.kubernetes.io" ||
      domain.ends_with(".node.kubernetes.io")) {
    return true;
  }
  for (std::string_view ok : {"kubernetes.io/hostname", "kubernetes.io/arch", "kubernetes.io/os", "beta.kubernetes.io/instance-type",
                              "node.kubernetes.io/instance-type", "failure-domain.beta.kubernetes.io/region",
                              "failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/region", "topology.kubernetes.io/zone",
                              "beta.kubernetes.io/os", "beta.kubernetes.io/arch"}) {
    if (key == ok) return true;
  }
  return domain != "kubernetes.io" && domain != "k8s.io" && !domain.ends_with(".kubernetes.io") && !domain.ends_with(".k8s.io");
}

class NodeRestriction : public Plugin {
 public:
  explicit NodeRestriction(const PluginContext& c) : context_(c) {}
  std::string_view name() const override { return "NodeRestriction"; }

  Status mutate(Attributes& a) const override {
    std::string node = nodeOf(*a.user);
    if (node.empty()) return {};
    if (a.isFor("", "pods")) return pods(a, node);
    if (a.isFor("", "nodes")) return nodes(a, node);
    if (a.isFor("coordination.k8s.io", "leases")) return leases(a, node);
    if (a.isFor("", "serviceaccounts") && a.subresource == "token") return tokens(a, node);
    return {};
  }

 private:
  static Status refuse(const Attributes& a, std::string why) {
    return errors::forbidden({a.resource->group, a.resource->name}, a.name, why);
  }

  Status pods(const Attributes& a, const std::string& node) const {
    if (a.subresource == "status") {
      if (a.operation != Operation::kUpdate) return refuse(a, fmt::format("unexpected operation \"{}\"", "CREATE"));
      if (a.old != nullptr && a.old->as<Pod>().spec.nodeName != node) {
        return refuse(a, fmt::format("node \"{}\" can only update pod status for pods with spec.nodeName set to itself", node));
      }
      if (a.old != nullptr && !(a.object->meta().labels == a.old->meta().labels)) {
        return refuse(a, fmt::format("node \"{}\" cannot update labels through pod status", node));
      }
      return {};
    }
    if (a.subresource == "eviction") return {};
    if (!a.subresource.empty()) return refuse(a, fmt::format("unexpected pod subresource \"{}\", only 'status' and 'eviction' are allowed", a.subresource));
    if (a.operation == Operation::kDelete) {
      if (a.old != nullptr && a.old->as<Pod>().spec.nodeName != node) {
        return refuse(a, fmt::format("node \"{}\" can only delete pods with spec.nodeName set to itself", node));
      }
      return {};
    }
    if (a.operation != Operation::kCreate) return refuse(a, fmt::format("unexpected operation \"UPDATE\", node \"{}\" can only create and delete mirror pods", node));
    const Pod& pod = a.object->as<Pod>();
    if (!pod.metadata.annotations.contains("kubernetes.io/config.mirror")) {
      return refuse(a, fmt::format("pod does not have \"kubernetes.io/config.mirror\" annotation, node \"{}\" can only create mirror pods", node));
    }
    if (pod.spec.nodeName != node) return refuse(a, fmt::format("node \"{}\" can only create pods with spec.nodeName set to itself", node));
    return {};
  }

  Status nodes(const Attributes& a, const std::string& node) const {
    if (a.name != node) return refuse(a, fmt::format("node \"{}\" is not allowed to modify node \"{}\"", node, a.name));
    if (a.operation == Operation::kDelete) return {};
    const Node& now = a.object->as<Node>();
    if (now.spec.configSource) return refuse(a, fmt::format("node \"{}\" is not allowed to set spec.configSource", node));
    if (a.operation == Operation::kUpdate && a.old != nullptr && a.subresource.empty()) {
      const Node& old = a.old->as<Node>();
      if (!(now.spec.taints == old.spec.taints)) return refuse(a, fmt::format("node \"{}\" is not allowed to modify taints", node));
    }
    std::string bad;
    for (const auto& [key, value] : now.metadata.labels) {
      const codec::String* before = a.old != nullptr ? a.old->meta().labels.find(key) : nullptr;
      if (before != nullptr && *before == value) continue;
      if (!allowedLabel(key)) bad += (bad.empty() ? "" : ", ") + key.str();
    }
    if (!bad.empty()) return refuse(a, fmt::format("is not allowed to modify labels: {}", bad));
    return {};
  }

  Status leases(const Attributes& a, const std::string& node) const {
    if (a.ns != "kube-node-lease") {
      return refuse(a, "can only access leases in the \"kube-node-lease\" system namespace");
    }
    if (a.name != node) return refuse(a, "can only access node lease with the same name as the requesting node");
    return {};
  }

  Status tokens(const Attributes& a, const std::string& node) const {
    if (a.object == nullptr || !a.object->is(api::authentication_v1::TokenRequest::kType)) return {};
    const auto& ref = a.object->as<api::authentication_v1::TokenRequest>().spec.boundObjectRef;
    if (!ref || ref->kind != "Pod" || ref->name.empty()) return refuse(a, fmt::format("node requested token not bound to a pod"));
    if (ref->uid.empty()) return refuse(a, "node requested token with a pod binding without a uid");
    api::ObjectPtr pod = context_.get("", "pods", a.ns, ref->name);
    if (!pod) return refuse(a, fmt::format("pod \"{}\" not found", ref->name));
    if (pod->as<Pod>().spec.nodeName != node) return refuse(a, "node requested token bound to a pod scheduled on a different node");
    return {};
  }

  PluginContext context_;
};

}  // namespace

std::unique_ptr<Plugin> makeNodeRestriction(const PluginContext& c) { return std::make_unique<NodeRestriction>(c); }

}  // namespace km::admission
