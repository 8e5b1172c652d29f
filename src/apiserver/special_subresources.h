// The operations behind subresources.h: bindings, scales, evictions, finalizing of namespaces, tokens and reviews.
#pragma once

namespace km::apiserver {

class ApiServer;

void addBindings(ApiServer& server);
void addScales(ApiServer& server);
void addNamespaceFinalize(ApiServer& server);
void addTokens(ApiServer& server);
void addReviews(ApiServer& server);

}  // namespace km::apiserver
