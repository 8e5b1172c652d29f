// From KubeProxyConfiguration to what our proxy is told, with upstream's validation.
#pragma once

#include "km/component_config.h"
#include "proxy/proxy.h"

namespace km {

Status validateProxyConfig(const ComponentConfig& config);
// Errors: what cannot be done here (another mode than nftables).
Status applyProxyConfig(const ComponentConfig& config, proxy::Options& options);

}  // namespace km
