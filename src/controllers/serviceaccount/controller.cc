#include "controllers/serviceaccount/controller.h"

#include "controllers/objects.h"

namespace km::controllers::serviceaccount {
namespace {

using api::core_v1::Namespace;
using api::core_v1::ServiceAccount;

constexpr std::string_view kName = "default";

class ServiceAccountController : public Controller {
 public:
  explicit ServiceAccountController(Context& context)
      : context_(context),
        namespaces_(context.use<Namespace>()),
        accounts_(context.use<ServiceAccount>()),
        loop_(context, "serviceaccount", 1, [this](const std::string& key) { return sync(key); }) {
    loop_.onKeys(namespaces_);
    loop_.on(accounts_, {nullptr, nullptr, [this](const ObjectPtr& o, bool) {
                           if (o->name() == kName) loop_.add(o->ns());
                         }});
  }
  void start() override { loop_.start(); }
  void stop() override { loop_.stop(); }

 private:
  Status sync(const std::string& ns) {
    auto n = client::Lister<Namespace>(namespaces_).get("", ns);
    if (!n || n->status.phase == "Terminating") return {};
    if (client::Lister<ServiceAccount>(accounts_).get(ns, kName)) return {};
    ServiceAccount a;
    a.metadata.name = kName;
    a.metadata.namespace_ = ns;
    Status s = createObject(context_.client, std::move(a)).status();
    return s.is("AlreadyExists") || hasCause(s, "NamespaceTerminating") ? Status() : s;
  }

  Context& context_;
  client::SharedInformer& namespaces_;
  client::SharedInformer& accounts_;
  SyncLoop loop_;
};

}  // namespace

std::unique_ptr<Controller> make(Context& context) { return std::make_unique<ServiceAccountController>(context); }

}  // namespace km::controllers::serviceaccount
