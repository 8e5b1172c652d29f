#include "object/openapi.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <mutex>

#include "base/fnv.h"
#include "object/openapi_write.h"

namespace km::object {
namespace {

std::string hashText(std::string_view bytes) {
  // Parts with different starts, so that the text is as long as upstream's.
  std::string out;
  for (uint64_t part = 0; part < 8; part++) out += fmt::format("{:016X}", fnv1a64(bytes, kFnv64Offset ^ part * 0x9E3779B97F4A7C15u));
  return out;
}

OpenApiDocument finish(std::string bytes) {
  OpenApiDocument d;
  d.etag = "\"" + hashText(bytes) + "\"";
  bytes.shrink_to_fit();
  d.bytes = std::make_shared<const std::string>(std::move(bytes));
  return d;
}

const ApiDocument* documentOf(std::string_view path) {
  const auto& all = apiDocuments();
  auto it = std::find_if(all.begin(), all.end(), [&](const ApiDocument& d) { return d.id == path; });
  return it != all.end() ? &*it : nullptr;
}

}  // namespace

OpenApiDocument openApiV2Json() {
  static const OpenApiDocument kDocument = finish(openApiV2Document().json());
  return kDocument;
}

OpenApiDocument openApiV2Proto() {
  static const OpenApiDocument kDocument = finish(encodeGnostic(openApiV2Document()));
  return kDocument;
}

std::vector<std::string> openApiV3Paths() {
  std::vector<std::string> out;
  for (const ApiDocument& d : apiDocuments()) out.push_back(d.id);
  return out;
}

OpenApiDocument openApiV3(std::string_view path) {
  static std::mutex mutex;
  static std::map<std::string, OpenApiDocument, std::less<>> made;
  const ApiDocument* d = documentOf(path);
  if (d == nullptr) return {};
  std::lock_guard lock(mutex);
  auto it = made.find(path);
  if (it == made.end()) it = made.emplace(std::string(path), finish(openApiV3Document(*d).json())).first;
  return it->second;
}

OpenApiDocument openApiV3Index() {
  static const OpenApiDocument kDocument = [] {
    codec::Value out = codec::Value::object();
    for (const ApiDocument& d : apiDocuments()) {
      std::string hash = openApiV3(d.id).etag;
      std::string url =
          fmt::format("/openapi/v3/{}?hash={}", d.id, std::string_view(hash).substr(1, hash.size() - 2));
      out["paths"][d.id].set("serverRelativeURL", codec::Value::string(url));
    }
    return finish(out.json());
  }();
  return kDocument;
}

}  // namespace km::object
