#include "base/files.h"
#include "base/flags.h"
#include "controllers/controller_manager.h"
#include "controllers/options_flags.h"
#include "km/account_client.h"
#include "km/api_connection.h"
#include "km/commands.h"
#include "km/leader_flags.h"
#include "km/managers.h"
#include "km/part_server.h"
#include "km/signing_flags.h"
#include "pki/tokens.h"

namespace km {
namespace {

struct ControllerManagerFlags {
  std::string kubeconfig, master, rootCaFile, serviceAccountKeyFile;
  std::vector<std::string> controllers = {"*"};
  bool useServiceAccounts = false;
  controllers::Options options;
  SigningFlags signing;
  LeaderFlags leader{"kube-controller-manager"};
  PartServerFlags serving{10257};

  void addTo(FlagSet& flags) {
    flags.add(&kubeconfig, "kubeconfig", "Path to kubeconfig `file` with authorization and master location information.");
    flags.add(&master, "master", "The address of the Kubernetes API server (overrides any value in kubeconfig)");
    flags.add(&rootCaFile, "root-ca-file", "If set, this root certificate authority will be included in service account's token secret. This must be a valid PEM-encoded CA bundle.");
    flags.add(&serviceAccountKeyFile, "service-account-private-key-file", "`File` containing a PEM-encoded private RSA or ECDSA key used to sign service account tokens.");
    flags.add(&controllers, "controllers", "A list of `controllers` to enable. '*' enables all on-by-default controllers, 'foo' enables the controller named 'foo', '-foo' disables the controller named 'foo'.");
    flags.add(&useServiceAccounts, "use-service-account-credentials", "If true, use individual service account credentials for each controller.");
    flags.add(&options.serviceClusterIpRange, "service-cluster-ip-range", "CIDR `Range` for Services in cluster. Only used when --allocate-node-cidrs=true.");
    controllers::addFlags(flags, options);
    signing.addTo(flags, options.signingDuration);
    leader.addTo(flags);
    serving.addTo(flags);
  }

  // What runs, in the words of KubeControllerManagerConfiguration.
  std::string configz() const {
    using codec::Value;
    Value generic = Value::object(), election = Value::object(), list = Value::list(), all = Value::object(), out = Value::object();
    electionConfig(leader, election);
    for (const std::string& c : controllers) list.push(Value::string(c));
    generic.set("LeaderElection", std::move(election));
    generic.set("Controllers", std::move(list));
    all.set("Generic", std::move(generic));
    Value shared = Value::object();
    shared.set("ClusterCIDR", Value::string(options.clusterCidr));
    shared.set("AllocateNodeCIDRs", Value::boolean(options.allocateNodeCidrs));
    shared.set("UseServiceAccountCredentials", Value::boolean(useServiceAccounts));
    all.set("KubeCloudShared", std::move(shared));
    out.set("kubecontrollermanager.config.k8s.io", std::move(all));
    return out.json();
  }

  Status complete() {
    if (!rootCaFile.empty()) {
      KM_ASSIGN(options.rootCa, readFile(rootCaFile));
    }
    KM_ASSIGN(options.signers, signing.load());
    if (serviceAccountKeyFile.empty()) return {};
    KM_ASSIGN(std::string pem, readFile(serviceAccountKeyFile));
    KM_ASSIGN(pki::Key key, pki::Key::fromPem(pem));
    options.makeLegacyToken = legacyTokenMaker(key);
    return {};
  }
};

Status run(ControllerManagerFlags f) {
  KM_TRY(f.complete());
  KM_ASSIGN(auto rows, controllers::selectControllers(f.controllers));
  KM_ASSIGN(auto api, ApiConnection::open(f.kubeconfig, f.master, "kube-controller-manager", 16));
  if (f.useServiceAccounts) {
    f.options.accountClient = [&a = *api](std::string_view account) {
      return makeAccountClient(a.loops.at(0), a.config, *a.client, a.pool, a.timers, account);
    };
  }
  KM_ASSIGN(auto server, PartServer::secure(f.serving, *api->client, api->loops, healthOf(f.leader), {{"/configz", f.configz()}}));
  controllers::ControllerManager manager(*api->client, *api->informers, api->pool, api->timers, f.options);
  return runElected(
      *api->client, f.leader, api->loops.at(0),
      [&]() -> Status {
        return manager.start(rows);
      },
      [&] { manager.stop(); });
}

}  // namespace

int runControllerManager(ServerCall& call) {
  ControllerManagerFlags options;
  FlagSet flags(std::string(call.server->name));
  options.addTo(flags);
  if (auto done = parseServerFlags(call, flags)) return *done;
  if (!flags.args().empty()) return finish(call, errors::badRequest("controller-manager takes no arguments"));
  return finish(call, run(std::move(options)));
}

}  // namespace km
