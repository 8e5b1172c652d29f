// bootstrap-signer-controller: keeps a signature of each bootstrap token in the ConfigMap cluster-info of kube-public, by which a node that joins
// knows the cluster. token-cleaner-controller: removes bootstrap tokens that have expired. Both are off unless asked for, as upstream's.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "controllers/context.h"

namespace km::controllers::bootstrap {

std::unique_ptr<Controller> makeSigner(Context& context);
std::unique_ptr<Controller> makeTokenCleaner(Context& context);

// header..signature: a detached JWS (HS256) of `content` under the token's secret.
std::string detachedSignature(std::string_view content, std::string_view tokenId, std::string_view tokenSecret);

}  // namespace km::controllers::bootstrap
