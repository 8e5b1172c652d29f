#include "km/account_client.h"

#include <mutex>

#include "api/types/authentication_v1.h"
#include "api/types/core_v1.h"
#include "base/log.h"

namespace km {
namespace {

constexpr std::string_view kNamespace = "kube-system";
constexpr int64_t kTokenSeconds = 3600;
constexpr auto kRetry = std::chrono::seconds(10);

// The present token of one account; asks for the next in time.
class Token : public std::enable_shared_from_this<Token> {
 public:
  Token(client::Client& root, client::WorkerPool& pool, client::Timers& timers, std::string account)
      : root_(root), pool_(pool), timers_(timers), account_(std::move(account)) {}

  std::string get() const {
    std::lock_guard lock(mutex_);
    return token_;
  }

  Status ensureAccount() {
    auto target = client::target(api::core_v1::ServiceAccount::kType, kNamespace, account_);
    if (root_.get(target).ok()) return {};
    api::core_v1::ServiceAccount account;
    account.metadata.name = account_;
    account.metadata.namespace_ = kNamespace;
    target.name.clear();
    auto made = root_.create(target, api::Object::of(std::move(account)));
    return made.ok() || made.status().is("AlreadyExists") ? Status() : made.status();
  }

  Status renew() {
    api::authentication_v1::TokenRequest request;
    request.spec.expirationSeconds = kTokenSeconds;
    auto target = client::target(api::core_v1::ServiceAccount::kType, kNamespace, account_, "token");
    KM_ASSIGN(auto answer, root_.create(target, api::Object::of(std::move(request))));
    {
      std::lock_guard lock(mutex_);
      token_ = answer->as<api::authentication_v1::TokenRequest>().status.token.str();
    }
    scheduleRenewal(std::chrono::seconds(kTokenSeconds * 8 / 10));
    return {};
  }

 private:
  void scheduleRenewal(Duration delay) {
    timers_.after(delay, [weak = weak_from_this()] {
      auto self = weak.lock();
      if (!self) return;
      self->pool_.post([self] {
        Status s = self->renew();
        if (s.ok()) return;
        KM_LOG(ERROR, "no new token for the service account {}: {}", self->account_, s.message());
        self->scheduleRenewal(kRetry);
      });
    });
  }

  client::Client& root_;
  client::WorkerPool& pool_;
  client::Timers& timers_;
  const std::string account_;
  mutable std::mutex mutex_;
  std::string token_;
};

}  // namespace

Result<std::unique_ptr<client::Client>> makeAccountClient(async::Loop& loop, client::RestConfig config, client::Client& root,
                                                          client::WorkerPool& pool, client::Timers& timers, std::string_view account) {
  auto token = std::make_shared<Token>(root, pool, timers, std::string(account));
  KM_TRY(token->ensureAccount());
  KM_TRY(token->renew());
  // Of the manager's own credentials nothing stays: a certificate would win over the token.
  config.certData.clear();
  config.certFile.clear();
  config.keyData.clear();
  config.keyFile.clear();
  config.userName.clear();
  config.password.clear();
  config.token.clear();
  config.tokenFile.clear();
  config.tokenSource = [token] { return token->get(); };
  return client::makeHttpClient(loop, config);
}

}  // namespace km
