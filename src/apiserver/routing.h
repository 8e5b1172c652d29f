// What is decided about a request for resources before anybody looks at its body: whether its path leads anywhere, takes the method,
// reads the body's type and can answer in a type that the client accepts. Upstream's router (go-restful) decides this, with texts
// of its own that differ from those of the handlers behind it.
#pragma once

#include <string_view>
#include <vector>

#include "apiserver/request_info.h"
#include "apiserver/resources.h"
#include "base/status.h"
#include "http/message.h"

namespace km::apiserver {

// The errors of a router: they have empty details.
Status routeNotFound();
Status routeMethodNotAllowed();

// 406 unless one of the media types is named by the Accept header, or "*/*" is. Parameters and qualities do not count here.
Status checkAccept(std::string_view accept, const std::vector<std::string_view>& produces);

// Of a request whose path lies below a group version that is served.
Status checkRoute(const Resources& resources, const http::Request& request, const RequestInfo& info);

// The types that answers about single objects have.
const std::vector<std::string_view>& objectMediaTypes();

}  // namespace km::apiserver
