#include "km/api_connection.h"

#include "client/http_client.h"
#include "client/kubeconfig.h"

namespace km {

Result<std::unique_ptr<ApiConnection>> ApiConnection::open(const std::string& kubeconfig, const std::string& master,
                                                           const std::string& userAgent, int threads) {
  client::KubeconfigOverrides overrides;
  overrides.server = master;
  auto config = kubeconfig.empty() ? client::inClusterConfig() : client::loadKubeconfig(kubeconfig, overrides);
  if (!config.ok()) return config.status();
  config->userAgent = userAgent;
  auto out = std::make_unique<ApiConnection>(threads);
  out->config = *config;
  KM_ASSIGN(out->client, client::makeHttpClient(out->loops.at(0), *config));
  out->informers = std::make_unique<client::InformerFactory>(*out->client, out->pool, out->timers);
  return out;
}

ApiConnection::~ApiConnection() { close(); }

void ApiConnection::close() {
  if (informers) informers->stop();
  client.reset();
  timers.stop();
  pool.stop();
  informers.reset();
}

}  // namespace km
