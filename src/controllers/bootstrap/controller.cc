#include "controllers/bootstrap/controller.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <map>

#include "api/bootstrap_token.h"
#include "base/base64.h"
#include "base/log.h"
#include "controllers/objects.h"

namespace km::controllers::bootstrap {
namespace {

using api::core_v1::ConfigMap;
using api::core_v1::Secret;
constexpr auto field = api::bootstrapTokenField;

constexpr std::string_view kInfoNamespace = "kube-public", kInfo = "cluster-info";
constexpr std::string_view kContent = "kubeconfig", kSignaturePrefix = "jws-kubeconfig-";

bool isToken(const api::Object& o) { return o.ns() == api::kBootstrapTokenNamespace && o.as<Secret>().type == api::kBootstrapTokenType; }

class Signer : public Controller {
 public:
  explicit Signer(Context& context)
      : context_(context),
        secrets_(context.use<Secret>()),
        maps_(context.use<ConfigMap>()),
        loop_(context, "bootstrap_signer_queue", 1, [this](const std::string&) { return sign(); }) {
    auto onMap = [this](const ObjectPtr& o) {
      if (o->ns() == kInfoNamespace && o->name() == kInfo) loop_.add("all");
    };
    auto onSecret = [this](const ObjectPtr& o) {
      if (isToken(*o)) loop_.add("all");
    };
    loop_.on(maps_, {[onMap](const ObjectPtr& o, bool) { onMap(o); }, [onMap](const ObjectPtr&, const ObjectPtr& o) { onMap(o); }, nullptr});
    loop_.on(secrets_, {[onSecret](const ObjectPtr& o, bool) { onSecret(o); }, [onSecret](const ObjectPtr&, const ObjectPtr& o) { onSecret(o); },
                        [onSecret](const ObjectPtr& o, bool) { onSecret(o); }});
  }
  void start() override { loop_.start(); }
  void stop() override { loop_.stop(); }

 private:
  std::map<std::string, std::string> tokens() {
    std::map<std::string, std::string> out;
    for (const auto& s : client::Lister<Secret>(secrets_).list()) {
      if (s->metadata.namespace_ != api::kBootstrapTokenNamespace || s->type != api::kBootstrapTokenType) continue;
      std::string_view id = field(*s, "token-id"), secret = field(*s, "token-secret");
      auto left = api::bootstrapTokenSecondsLeft(*s, context_.clock().now());
      bool named = s->metadata.name == api::bootstrapTokenName(id);
      if (id.empty() || secret.empty() || !named || field(*s, "usage-bootstrap-signing") != "true" || (left && *left <= 0)) continue;
      out.emplace(id, secret);
    }
    return out;
  }
  Status sign() {
    auto info = client::Lister<ConfigMap>(maps_).get(kInfoNamespace, kInfo);
    if (!info) return {};
    const auto* content = info->data.find(kContent);
    if (content == nullptr) return {};
    ConfigMap next = *info;
    next.data.clear();
    for (const auto& [key, value] : info->data) {
      if (!key.view().starts_with(kSignaturePrefix)) next.data[key] = value;
    }
    for (const auto& [id, secret] : tokens()) next.data[std::string(kSignaturePrefix) + id] = detachedSignature(content->view(), id, secret);
    if (next.data == info->data) return {};
    Status s = updateObject(context_.client, std::move(next)).status();
    return s.code() == 409 || s.code() == 404 ? Status() : s;  // what changed it wakes this again
  }

  Context& context_;
  client::SharedInformer &secrets_, &maps_;
  SyncLoop loop_;
};

class TokenCleaner : public Controller {
 public:
  explicit TokenCleaner(Context& context)
      : context_(context), secrets_(context.use<Secret>()), loop_(context, "token_cleaner", 1, [this](const std::string& key) { return sync(key); }) {
    auto on = [this](const ObjectPtr& o) {
      if (isToken(*o)) loop_.add(keyOf(o->meta()));
    };
    loop_.on(secrets_, {[on](const ObjectPtr& o, bool) { on(o); }, [on](const ObjectPtr&, const ObjectPtr& o) { on(o); }, nullptr});
  }
  void start() override { loop_.start(); }
  void stop() override { loop_.stop(); }

 private:
  Status sync(const std::string& key) {
    auto [ns, name] = splitKey(key);
    auto s = client::Lister<Secret>(secrets_).get(ns, name);
    if (!s || s->type != api::kBootstrapTokenType) return {};
    auto left = api::bootstrapTokenSecondsLeft(*s, context_.clock().now());
    if (!left) return {};
    if (*left > 0) {
      loop_.queue().addAfter(key, std::chrono::seconds(*left));
      return {};
    }
    client::DeleteOptions options;
    options.uid = s->metadata.uid.str();
    Status gone = removeObject<Secret>(context_.client, ns, name, options);
    return gone.code() == 404 || gone.code() == 409 ? Status() : gone;
  }

  Context& context_;
  client::SharedInformer& secrets_;
  SyncLoop loop_;
};

}  // namespace

std::string detachedSignature(std::string_view content, std::string_view tokenId, std::string_view tokenSecret) {
  std::string header = base64UrlEncode(fmt::format(R"({{"alg":"HS256","kid":"{}"}})", tokenId));
  std::string signedPart = header + "." + base64UrlEncode(content);
  unsigned char mac[EVP_MAX_MD_SIZE];
  unsigned length = 0;
  HMAC(EVP_sha256(), tokenSecret.data(), static_cast<int>(tokenSecret.size()), reinterpret_cast<const unsigned char*>(signedPart.data()), signedPart.size(), mac, &length);
  return header + ".." + base64UrlEncode(std::string_view(reinterpret_cast<const char*>(mac), length));
}

std::unique_ptr<Controller> makeSigner(Context& context) { return std::make_unique<Signer>(context); }
std::unique_ptr<Controller> makeTokenCleaner(Context& context) { return std::make_unique<TokenCleaner>(context); }

}  // namespace km::controllers::bootstrap
