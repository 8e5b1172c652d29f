#include <fmt/format.h>

#include <algorithm>

#include "api/field_error.h"
#include "base/files.h"
#include "base/flags.h"
#include "base/log.h"
#include "base/strings.h"
#include "codec/yaml.h"
#include "km/api_connection.h"
#include "km/commands.h"
#include "km/component_config.h"
#include "km/control_plane.h"
#include "km/data_lock.h"
#include "km/part_server.h"
#include "km/proxy_settings.h"
#include "proxy/proxy.h"

namespace km {
namespace {

struct ProxyFlags {
  ComponentConfig config{kProxyConfig};
  std::string master, configFile, writeConfigTo, hostname;
  bool cleanup = false;

  void addTo(FlagSet& flags) {
    flags.add(&master, "master", "The address of the Kubernetes API server (overrides any value in kubeconfig)");
    flags.add(&configFile, "config", "The path to the configuration `file` (KubeProxyConfiguration). Flags but --hostname-override, --master and those of logging do not count beside it.");
    flags.add(&writeConfigTo, "write-config-to", "If set, write the default configuration values to this `file` and exit.");
    flags.add(&hostname, "hostname-override", "If non-empty, will be used as the name of the Node that kube-proxy is running on.");
    flags.add(&cleanup, "cleanup", "If true cleanup the rules and exit.");
    auto port = [this](std::string field) {
      return [this, field](std::string_view text) -> Status {
        auto n = parseInt64(text);
        if (!n || *n < 0 || *n > 65535) return errors::badRequest("strconv.ParseInt: parsing " + quote(text) + ": invalid syntax");
        std::string address = config.text(field), host = address.substr(0, address.rfind(':') + 1);
        config.set(field, codec::Value::string(*n == 0 ? "" : host + std::to_string(*n)));
        return {};
      };
    };
    flags.addFunc(port("healthzBindAddress"), "int32", "healthz-port", "The port to bind the health check server. Use 0 to disable.")
        .deprecated("This flag is deprecated and will be removed in a future release. Please use --healthz-bind-address instead.");
    flags.addFunc(port("metricsBindAddress"), "int32", "metrics-port", "The port to bind the metrics server. Use 0 to disable.")
        .deprecated("This flag is deprecated and will be removed in a future release. Please use --metrics-bind-address instead.");
    config.addFlags(flags);
  }
};

Status run(ProxyFlags& f) {
  if (!f.writeConfigTo.empty()) {
    KM_ASSIGN(std::string yaml, codec::jsonToYaml(f.config.document()));
    return writeFileAtomic(f.writeConfigTo, yaml, 0644);
  }
  proxy::Options options;
  if (f.cleanup) return proxy::Proxy::cleanup(options.tableName);
  if (f.configFile.empty()) {
    // Upstream's default is open to all; here nothing listens beyond loopback unasked.
    if (!f.config.isSet("healthzBindAddress")) f.config.set("healthzBindAddress", codec::Value::string("127.0.0.1:10256"));
  } else {
    ComponentConfig fromFile(kProxyConfig);
    if (Status s = fromFile.load(f.configFile); !s.ok()) return errors::badRequest("failed complete: " + s.message());
    f.config = std::move(fromFile);
    if (f.config.isSet("logging.verbosity") && verbosity() == 0) setVerbosity(static_cast<int>(f.config.integer("logging.verbosity")));
  }
  if (!f.hostname.empty()) f.config.set("hostnameOverride", codec::Value::string(f.hostname));
  KM_TRY(validateProxyConfig(f.config));
  KM_TRY(applyProxyConfig(f.config, options));
  f.config.tellNotices();
  if (options.nodeName.empty()) options.nodeName = hostName();
  KM_ASSIGN(auto api, ApiConnection::open(f.config.text("clientConnection.kubeconfig"), f.master, "kube-proxy"));
  std::string configz = f.config.configz("kubeproxy.config.k8s.io");
  KM_ASSIGN(auto health, PartServer::plain(f.config.text("healthzBindAddress"), api->loops, {"/healthz", "/livez"}, {}));
  KM_ASSIGN(auto metrics, PartServer::plain(f.config.text("metricsBindAddress"), api->loops, {"/metrics", "/healthz", "/proxyMode", "/configz"}, {},
                                            {{"/configz", configz}, {"/proxyMode", "nftables"}}));
  proxy::Proxy proxy(std::move(options), *api->informers, api->pool, api->timers);
  KM_TRY(proxy.start());
  api->informers->start();
  waitForEnd(api->loops.at(0));
  return {};
}

}  // namespace

int runProxy(ServerCall& call) {
  ProxyFlags options;
  FlagSet flags(std::string(call.server->name));
  options.addTo(flags);
  if (auto done = parseServerFlags(call, flags)) return *done;
  if (!flags.args().empty()) return finish(call, errors::badRequest("proxy takes no arguments"));
  return finish(call, run(options));
}

}  // namespace km
