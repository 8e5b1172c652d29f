#include "controllers/serviceaccount/tokens_controller.h"

#include "controllers/objects.h"

namespace km::controllers::serviceaccount {
namespace {

using api::core_v1::Secret;
using api::core_v1::ServiceAccount;

constexpr std::string_view kType = "kubernetes.io/service-account-token";
constexpr std::string_view kAccountName = "kubernetes.io/service-account.name";
constexpr std::string_view kAccountUid = "kubernetes.io/service-account.uid";

class TokensController : public Controller {
 public:
  explicit TokensController(Context& context)
      : context_(context),
        accounts_(context.use<ServiceAccount>()),
        secrets_(context.use<Secret>()),
        loop_(context, "serviceaccount_tokens", context.options.concurrentServiceAccountTokenSyncs,
              [this](const std::string& key) { return sync(key); }) {
    secrets_.addIndex(kByAccount, [](const api::Object& o) {
      const Secret& s = o.as<Secret>();
      if (s.type != kType) return std::vector<std::string>{};
      return std::vector<std::string>{s.metadata.namespace_.str() + "/" + s.metadata.annotations.get(kAccountName).str()};
    });
    loop_.on(secrets_, {[this](const ObjectPtr& o, bool) { secretChanged(*o); },
                        [this](const ObjectPtr&, const ObjectPtr& o) { secretChanged(*o); },
                        [this](const ObjectPtr& o, bool) { secretGone(o->as<Secret>()); }});
    auto account = [this](const ObjectPtr& o) {
      for (const auto& s : client::Lister<Secret>(secrets_).byIndex(kByAccount, o->key())) loop_.add(keyOf(s->metadata));
    };
    loop_.on(accounts_, {[account](const ObjectPtr& o, bool) { account(o); }, nullptr,
                         [account](const ObjectPtr& o, bool) { account(o); }});
  }
  void start() override { loop_.start(); }
  void stop() override { loop_.stop(); }

 private:
  static constexpr std::string_view kByAccount = "tokenAccount";

  void secretChanged(const api::Object& o) {
    if (o.as<Secret>().type == kType) loop_.add(o.key());
  }

  // A deleted token leaves its account's list of secrets.
  void secretGone(const Secret& s) {
    if (s.type == kType) loop_.add("gone:" + keyOf(s.metadata) + ":" + s.metadata.annotations.get(kAccountName).str());
  }

  Status sync(const std::string& key) {
    if (key.starts_with("gone:")) return dropReference(key.substr(5));
    auto secret = client::Lister<Secret>(secrets_).getKey(key);
    if (!secret || secret->type != kType) return {};
    const ObjectMeta& meta = secret->metadata;
    std::string name = meta.annotations.get(kAccountName).str(), uid = meta.annotations.get(kAccountUid).str();
    if (name.empty()) return {};
    auto account = client::Lister<ServiceAccount>(accounts_).get(meta.namespace_, name);
    if (!account || (!uid.empty() && account->metadata.uid != uid)) {
      // The cache may lag: only the server's word deletes.
      auto live = getObject<ServiceAccount>(context_.client, meta.namespace_, name);
      if (live.ok() && (uid.empty() || (*live)->metadata.uid == uid)) {
        account = *live;
      } else if (live.ok() || live.status().code() == 404) {
        Status s = removeObject<Secret>(context_.client, meta.namespace_, meta.name, {.uid = meta.uid.str()});
        return s.code() == 404 || s.is("Conflict") ? Status() : s;
      } else {
        return live.status();
      }
    }
    return fill(*secret, account->metadata);
  }

  Status fill(const Secret& stored, const ObjectMeta& account) {
    auto same = [&](std::string_view key, std::string_view value) {
      const codec::String* v = stored.data.find(key);
      return v != nullptr && (value.empty() || *v == value);
    };
    bool current = same("ca.crt", context_.options.rootCa) && same("namespace", stored.metadata.namespace_) &&
                   same("token", "") && stored.metadata.annotations.get(kAccountUid) == account.uid;
    if (current) return {};
    Secret s = stored;
    s.metadata.annotations[kAccountUid] = account.uid;
    if (!context_.options.rootCa.empty()) s.data["ca.crt"] = context_.options.rootCa;
    s.data["namespace"] = s.metadata.namespace_;
    if (!s.data.contains("token")) {
      KM_ASSIGN(auto token, context_.options.makeLegacyToken(s.metadata.namespace_, account.name, account.uid,
                                                             s.metadata.name, s.metadata.uid));
      s.data["token"] = token;
    }
    Status r = updateObject(context_.client, std::move(s)).status();
    return r.code() == 404 ? Status() : r;
  }

  Status dropReference(const std::string& what) {  // "ns/secret:account"
    size_t colon = what.rfind(':');
    auto [ns, secret] = splitKey(what.substr(0, colon));
    auto account = client::Lister<ServiceAccount>(accounts_).get(ns, what.substr(colon + 1));
    if (!account) return {};
    ServiceAccount copy = *account;
    if (copy.secrets.eraseIf([&](const auto& r) { return r.name == secret; }) == 0) return {};
    return updateObject(context_.client, std::move(copy)).status();
  }

  Context& context_;
  client::SharedInformer& accounts_;
  client::SharedInformer& secrets_;
  SyncLoop loop_;
};

}  // namespace

std::unique_ptr<Controller> makeTokens(Context& context) {
  if (!context.options.makeLegacyToken) return nullptr;
  return std::make_unique<TokensController>(context);
}

}  // namespace km::controllers::serviceaccount
