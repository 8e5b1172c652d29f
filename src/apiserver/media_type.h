// Content negotiation: what a client accepts, and what a body is.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace km::apiserver {

enum class Encoding { kJson, kYaml, kProto };

// How the answer to a request is written.
struct OutputFormat {
  Encoding encoding = Encoding::kJson;
  enum class Transform { kNone, kTable, kPartialMetadata } transform = Transform::kNone;
  std::string transformVersion;  // "v1" or "v1beta1"
  bool pretty = false;

  std::string_view contentType() const;        // "application/json"
  std::string_view streamContentType() const;  // of a watch
};

// By the Accept header (empty: anything), ?pretty and the user agent. 406 with upstream's list if nothing fits.
// `transforms`: Table and PartialObjectMetadata are offered (reads of resources).
Result<OutputFormat> negotiate(std::string_view accept, std::string_view pretty, bool hasPretty, std::string_view userAgent,
                               bool transforms);

// Of a request's body. 415 with upstream's list.
Result<Encoding> bodyEncoding(std::string_view contentType);

}  // namespace km::apiserver
