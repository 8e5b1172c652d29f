#include "controllers/rootca/controller.h"

#include "controllers/objects.h"

namespace km::controllers::rootca {
namespace {

using api::core_v1::ConfigMap;
using api::core_v1::Namespace;

constexpr std::string_view kName = "kube-root-ca.crt";
constexpr std::string_view kKey = "ca.crt";
constexpr std::string_view kDescriptionKey = "kubernetes.io/description";
// Shown to users as it is; upstream's wording is part of what clients compare.
constexpr std::string_view kDescription =
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal "
    "service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.";

class RootCaPublisher : public Controller {
 public:
  explicit RootCaPublisher(Context& context)
      : context_(context),
        namespaces_(context.use<Namespace>()),
        configMaps_(context.use<ConfigMap>()),
        loop_(context, "root_ca_cert_publisher", 1, [this](const std::string& key) { return sync(key); }) {
    loop_.onKeys(namespaces_);
    loop_.on(configMaps_, {nullptr,
                           [this](const ObjectPtr&, const ObjectPtr& o) {
                             if (o->name() == kName) loop_.add(o->ns());
                           },
                           [this](const ObjectPtr& o, bool) {
                             if (o->name() == kName) loop_.add(o->ns());
                           }});
  }
  void start() override { loop_.start(); }
  void stop() override { loop_.stop(); }

 private:
  Status sync(const std::string& ns) {
    auto n = client::Lister<Namespace>(namespaces_).get("", ns);
    if (!n || n->status.phase == "Terminating") return {};
    auto stored = client::Lister<ConfigMap>(configMaps_).get(ns, kName);
    ConfigMap next;
    if (stored) next = *stored;
    next.data.clear();
    next.data[kKey] = context_.options.rootCa;
    next.metadata.annotations[kDescriptionKey] = kDescription;
    if (!stored) {
      next.metadata.name = kName;
      next.metadata.namespace_ = ns;
      Status s = createObject(context_.client, std::move(next)).status();
      return s.is("AlreadyExists") || hasCause(s, "NamespaceTerminating") ? Status() : s;
    }
    if (next.data == stored->data && next.metadata.annotations == stored->metadata.annotations) return {};
    return updateObject(context_.client, std::move(next)).status();
  }

  Context& context_;
  client::SharedInformer& namespaces_;
  client::SharedInformer& configMaps_;
  SyncLoop loop_;
};

}  // namespace

std::unique_ptr<Controller> make(Context& context) {
  if (context.options.rootCa.empty()) return nullptr;
  return std::make_unique<RootCaPublisher>(context);
}

}  // namespace km::controllers::rootca
