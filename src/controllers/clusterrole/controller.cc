#include "controllers/clusterrole/controller.h"

#include <algorithm>

#include "api/selector.h"
#include "api/types/rbac_v1.h"
#include "codec/json.h"
#include "codec/ops.h"
#include "controllers/objects.h"

namespace km::controllers::clusterrole {
namespace {

using api::rbac_v1::ClusterRole;
using api::rbac_v1::PolicyRule;
using Rules = codec::List<PolicyRule>;

class Aggregation : public Controller {
 public:
  explicit Aggregation(Context& context)
      : context_(context),
        roles_(context.use<ClusterRole>()),
        loop_(context, "ClusterRoleAggregator", 5, [this](const std::string& key) { return sync(key); }) {
    // Any role may be part of any that gathers.
    auto all = [this] {
      for (const auto& r : client::Lister<ClusterRole>(roles_).list()) {
        if (r->aggregationRule) loop_.add(r->metadata.name);
      }
    };
    loop_.on(roles_, {[all](const ObjectPtr&, bool) { all(); }, [all](const ObjectPtr&, const ObjectPtr&) { all(); },
                      [all](const ObjectPtr&, bool) { all(); }});
  }
  void start() override { loop_.start(); }
  void stop() override { loop_.stop(); }

 private:
  Status sync(const std::string& name) {
    client::Lister<ClusterRole> lister(roles_);
    auto role = lister.get("", name);
    if (!role || !role->aggregationRule) return {};
    Rules rules;
    for (const auto& s : role->aggregationRule->clusterRoleSelectors) {
      KM_ASSIGN(auto selector, api::LabelSelector::from(s));
      auto found = lister.list(selector);
      std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a->metadata.name < b->metadata.name; });
      for (const auto& other : found) {
        if (other->metadata.name == name) continue;
        for (const auto& rule : other->rules) {
          auto same = [&](const PolicyRule& r) { return codec::equal(&r, &rule, PolicyRule::kType); };
          if (std::find_if(rules.begin(), rules.end(), same) == rules.end()) rules.add() = rule;
        }
      }
    }
    auto same = [](const PolicyRule& a, const PolicyRule& b) { return codec::equal(&a, &b, PolicyRule::kType); };
    if (std::equal(rules.begin(), rules.end(), role->rules.begin(), role->rules.end(), same)) return {};
    return apply(name, rules);
  }

  Status apply(const std::string& name, const Rules& rules) {
    std::string body = R"({"kind":"ClusterRole","apiVersion":"rbac.authorization.k8s.io/v1","metadata":{"name":)";
    codec::appendJsonString(body, name);
    body += "}";
    // Where there is nothing to gather nothing is said: rules that users wrote stay, those gathered before go.
    for (size_t i = 0; i < rules.size(); i++) {
      body += i == 0 ? ",\"rules\":[" : ",";
      codec::encodeJson(body, &rules[i], PolicyRule::kType, "");
    }
    body += rules.empty() ? "}" : "]}";
    client::WriteOptions options = writeOptions();
    options.fieldManager = "clusterrole-aggregation-controller";
    options.force = true;
    return context_.client.patch(client::target(ClusterRole::kType, "", name), client::PatchType::kApply, std::move(body), options).status();
  }

  Context& context_;
  client::SharedInformer& roles_;
  SyncLoop loop_;
};

}  // namespace

std::unique_ptr<Controller> make(Context& context) { return std::make_unique<Aggregation>(context); }

}  // namespace km::controllers::clusterrole
