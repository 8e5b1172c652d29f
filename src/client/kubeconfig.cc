#include "client/kubeconfig.h"

#include <cstdlib>

#include "api/types/kubeconfig_v1.h"
#include "base/files.h"
#include "codec/json.h"
#include "codec/yaml.h"

namespace km::client {
namespace {

using api::kubeconfig_v1::Config;

template <typename List>
auto* findNamed(const List& list, std::string_view name) {
  for (const auto& item : list) {
    if (item.name == name) return &item;
  }
  return static_cast<decltype(&*list.begin())>(nullptr);
}

std::string resolved(const codec::String& path, const std::string& folder) {
  if (path.empty() || path.view().front() == '/' || folder.empty()) return path.str();
  return folder + "/" + path.str();
}

}  // namespace

Result<RestConfig> parseKubeconfig(std::string_view text, const std::string& folder, const KubeconfigOverrides& o,
                                   std::string* ns) {
  KM_ASSIGN(auto json, codec::yamlToJson(text));
  Config config;
  KM_TRY(codec::decodeJson(json, &config, Config::kType));
  std::string contextName = o.context.empty() ? config.currentContext.str() : o.context;
  std::string clusterName = o.cluster, userName = o.user;
  if (!contextName.empty()) {
    const auto* context = findNamed(config.contexts, contextName);
    if (context == nullptr) return errors::failed("context \"" + contextName + "\" does not exist");
    if (clusterName.empty()) clusterName = context->context.cluster;
    if (userName.empty()) userName = context->context.user;
    if (ns != nullptr) *ns = context->context.namespace_;
  }
  RestConfig out;
  if (!clusterName.empty()) {
    const auto* named = findNamed(config.clusters, clusterName);
    if (named == nullptr) return errors::failed("cluster \"" + clusterName + "\" does not exist");
    const auto& c = named->cluster;
    out.server = c.server;
    out.tlsServerName = c.tlsServerName;
    out.insecure = c.insecureSkipTlsVerify;
    out.caFile = resolved(c.certificateAuthority, folder);
    out.caData = c.certificateAuthorityData;
  }
  if (!o.server.empty()) out.server = o.server;
  if (out.server.empty()) return errors::failed("no server: the configuration names no cluster");
  if (!userName.empty()) {
    const auto* named = findNamed(config.users, userName);
    if (named == nullptr) return errors::failed("auth info \"" + userName + "\" does not exist");
    const auto& u = named->user;
    if (u.exec || u.authProvider) return errors::failed("credential plugins are not supported: user " + userName);
    out.certFile = resolved(u.clientCertificate, folder);
    out.certData = u.clientCertificateData;
    out.keyFile = resolved(u.clientKey, folder);
    out.keyData = u.clientKeyData;
    out.token = u.token;
    if (u.token.empty()) out.tokenFile = resolved(u.tokenFile, folder);
    out.userName = u.username;
    out.password = u.password;
    out.impersonateUser = u.as;
  }
  return out;
}

Result<RestConfig> loadKubeconfig(const std::string& path, const KubeconfigOverrides& overrides, std::string* ns) {
  KM_ASSIGN(auto text, readFile(path));
  size_t slash = path.rfind('/');
  std::string folder = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  return parseKubeconfig(text, folder, overrides, ns);
}

Result<RestConfig> inClusterConfig() {
  static const std::string kMount = "/var/run/secrets/kubernetes.io/serviceaccount/";
  const char* host = std::getenv("KUBERNETES_SERVICE_HOST");
  const char* port = std::getenv("KUBERNETES_SERVICE_PORT");
  if (host == nullptr || port == nullptr || *host == 0 || *port == 0) {
    return errors::failed("unable to load in-cluster configuration, KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT must be defined");
  }
  std::string h(host);
  RestConfig out;
  out.server = "https://" + (h.find(':') != std::string::npos ? "[" + h + "]" : h) + ":" + port;
  out.tokenFile = kMount + "token";
  out.caFile = kMount + "ca.crt";
  if (!fileExists(out.tokenFile)) return errors::failed("open " + out.tokenFile + ": no such file or directory");
  return out;
}

}  // namespace km::client
