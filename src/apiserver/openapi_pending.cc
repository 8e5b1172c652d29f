#include "object/openapi.h"
namespace km::object {
__attribute__((weak)) OpenApiDocument openApiV2Json() { return {}; }
__attribute__((weak)) OpenApiDocument openApiV2Proto() { return {}; }
__attribute__((weak)) OpenApiDocument openApiV3(std::string_view) { return {}; }
__attribute__((weak)) OpenApiDocument openApiV3Index() { return {std::make_shared<const std::string>("{\"paths\":{}}"), ""}; }
}
