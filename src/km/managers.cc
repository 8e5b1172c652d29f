#include "km/managers.h"

#include "base/files.h"
#include "base/log.h"
#include "controllers/options_flags.h"
#include "km/data_lock.h"
#include "km/signing_flags.h"
#include "pki/tokens.h"

namespace km {
namespace {

// What the parts of the control plane are, with the rights that RBAC gives to these names.
authn::UserInfo identity(std::string name, std::vector<std::string> groups = {}) {
  authn::UserInfo u;
  u.name = std::move(name);
  u.groups = std::move(groups);
  u.groups.emplace_back(authn::kAllAuthenticated);
  return u;
}

authn::UserInfo accountIdentity(std::string_view account) {
  return identity("system:serviceaccount:kube-system:" + std::string(account),
                  {"system:serviceaccounts", "system:serviceaccounts:kube-system"});
}

}  // namespace

void ManagersOptions::addTo(FlagSet& flags) {
  controllers::addFlags(flags, options);
  flags.add(&controllers, "controllers",
            "A list of `controllers` to enable. '*' enables all on-by-default controllers, 'foo' enables the "
            "controller named 'foo', '-foo' disables the controller named 'foo'.");
}

std::function<Result<std::string>(std::string_view, std::string_view, std::string_view, std::string_view,
                                  std::string_view)>
legacyTokenMaker(pki::Key key) {
  return [key = std::move(key)](std::string_view ns, std::string_view account, std::string_view uid,
                                std::string_view secret, std::string_view) -> Result<std::string> {
    return pki::signToken(key, pki::legacyClaims(ns, {std::string(account), std::string(uid)}, secret));
  };
}

Managers::Managers(ControlPlane& plane, ManagersOptions options)
    : plane_(plane), options_(std::move(options)), pool_(8, "km-manage") {}

Managers::~Managers() {
  stop();
}

Status Managers::start() {
  KM_ASSIGN(auto rows, controllers::selectControllers(options_.controllers));
  controllerClient_ =
      plane_.api().localClient(identity("system:kube-controller-manager"), "kube-controller-manager");
  schedulerClient_ = plane_.api().localClient(identity("system:kube-scheduler"), "kube-scheduler");
  informers_ = std::make_unique<client::InformerFactory>(*controllerClient_, pool_, timers_);
  if (options_.runScheduler) {
    scheduler_ = std::make_unique<scheduler::Scheduler>(*schedulerClient_, *informers_, pool_, timers_, hostName());
    scheduler_->start();
  }
  if (options_.runControllers) {
    KM_ASSIGN(controllers::Options o, controllerOptions());
    controllers_ =
        std::make_unique<controllers::ControllerManager>(*controllerClient_, *informers_, pool_, timers_, o);
    KM_TRY(controllers_->start(rows));
  }
  informers_->start();
  return {};
}

Result<controllers::Options> Managers::controllerOptions() {
  controllers::Options o = options_.options;
  o.serviceClusterIpRange = plane_.options().serviceClusterIpRange;
  KM_ASSIGN(o.rootCa, readFile(plane_.pki().certificatePath("ca")));
  o.signers = signersOf(plane_.pki().authority());
  o.makeLegacyToken = legacyTokenMaker(plane_.tokenSigningKey());
  o.accountClient = [this](std::string_view account) -> Result<std::unique_ptr<client::Client>> {
    return plane_.api().localClient(accountIdentity(account), "kube-controller-manager");
  };
  return o;
}

void Managers::stop() {
  if (std::exchange(stopped_, true)) return;
  if (scheduler_) scheduler_->stop();
  if (controllers_) controllers_->stop();
  if (informers_) informers_->stop();
  timers_.stop();
  pool_.stop();
}

}  // namespace km
