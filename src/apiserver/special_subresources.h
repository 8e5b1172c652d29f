// The operations behind subresources.h: bindings, scales, evictions, tokens and reviews.
#pragma once

namespace km::apiserver {

class ApiServer;

void addBindings(ApiServer& server);
void addScales(ApiServer& server);
void addTokens(ApiServer& server);
void addReviews(ApiServer& server);

}  // namespace km::apiserver
