// OpenAPI documents of the built-in API, made from the field tables and the table of resources.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace km::object {

struct OpenApiDocument {
  std::shared_ptr<const std::string> bytes;
  std::string etag;  // in double quotes
};

// The one document of OpenAPI v2: as JSON, or as the protobuf message of
// application/com.github.proto-openapi.spec.v2@v1.0+protobuf. Made at the first call and kept; any thread.
OpenApiDocument openApiV2Json();
OpenApiDocument openApiV2Proto();

// OpenAPI v3: one document for each path of "/openapi/v3/PATH" ("api/v1", "apis/apps/v1"); `bytes` is null
// for an unknown path.
std::vector<std::string> openApiV3Paths();  // sorted
OpenApiDocument openApiV3(std::string_view path);
// The answer of "/openapi/v3": {"paths":{"api/v1":{"serverRelativeURL":"/openapi/v3/api/v1?hash=..."}}}.
OpenApiDocument openApiV3Index();

}  // namespace km::object
