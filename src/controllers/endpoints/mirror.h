// Slices of the Endpoints that users write themselves, for services without a selector. Pure core and its
// controller.
#pragma once

#include <memory>
#include <vector>

#include "controllers/context.h"
#include "controllers/endpoints/slice_core.h"

namespace km::controllers::endpoints {

inline constexpr std::string_view kMirrorController = "endpointslicemirroring-controller.k8s.io";

// Whether these Endpoints have slices of their own: they do not say otherwise, hold no election, and their
// service has no selector. `service` may be null.
bool isMirrored(const api::core_v1::Endpoints& endpoints, const Service* service);

// The slices to write so that they say what the Endpoints say. `existing`: the mirrored ones of the
// Endpoints. A subset beyond `maxPerSubset` addresses is cut.
SliceChanges mirrorEndpoints(const api::core_v1::Endpoints& endpoints, const std::vector<SlicePtr>& existing,
                             size_t maxPerSubset);

std::unique_ptr<Controller> makeMirror(Context& context);

}  // namespace km::controllers::endpoints
