// NamespaceLifecycle: nothing is created in a namespace that is missing or going away, and the system's own namespaces stay.
#include <fmt/format.h>

#include "admission/plugins.h"
#include "api/types/core_v1.h"

namespace km::admission {
namespace {

bool immortal(std::string_view ns) { return ns == "default" || ns == "kube-system" || ns == "kube-public"; }

class NamespaceLifecycle : public Plugin {
 public:
  explicit NamespaceLifecycle(const PluginContext& c) : context_(c) {}
  std::string_view name() const override { return "NamespaceLifecycle"; }

  Status mutate(Attributes& a) const override {
    if (a.isFor("", "namespaces")) {
      if (a.operation == Operation::kDelete && immortal(a.name)) {
        return errors::forbidden({"", "namespaces"}, a.name, "this namespace may not be deleted");
      }
      return {};
    }
    if (a.operation != Operation::kCreate || !a.resource->namespaced || a.ns.empty()) return {};
    // Reviews ask about namespaces that need not exist.
    if (a.resource->group == "authorization.k8s.io" && a.resource->name == "localsubjectaccessreviews") return {};
    api::ObjectPtr ns = context_.get("", "namespaces", "", a.ns);
    if (!ns) return errors::notFound({"", "namespaces"}, a.ns);
    if (ns->as<api::core_v1::Namespace>().status.phase != "Terminating") return {};
    Status s = errors::forbidden({a.resource->group, a.resource->name}, a.name,
                                 fmt::format("unable to create new content in namespace {} because it is being terminated", a.ns));
    s.mutableDetails().causes.push_back({"NamespaceTerminating", fmt::format("namespace {} is being terminated", a.ns), "metadata.namespace"});
    return s;
  }

 private:
  PluginContext context_;
};

}  // namespace

std::unique_ptr<Plugin> makeNamespaceLifecycle(const PluginContext& c) { return std::make_unique<NamespaceLifecycle>(c); }

}  // namespace km::admission
