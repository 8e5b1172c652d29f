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
  // kPartialList is the list form of kPartial: each fits only what is one object, or a list.
  enum class Transform { kNone, kTable, kPartial, kPartialList } transform = Transform::kNone;
  std::string transformVersion;  // "v1" or "v1beta1"
  bool pretty = false;

  std::string_view contentType() const;        // "application/json"
  std::string_view streamContentType() const;  // of a watch
};

// Which forms an endpoint offers besides the plain one.
enum class Forms { kPlain, kMetadata, kTables };

// By the Accept header (empty: anything), ?pretty and the user agent. 406 with upstream's list if nothing fits.
Result<OutputFormat> negotiate(std::string_view accept, std::string_view pretty, bool hasPretty, std::string_view userAgent,
                               Forms forms);

// Of a request's body. 415 with upstream's list.
Result<Encoding> bodyEncoding(std::string_view contentType);

}  // namespace km::apiserver
