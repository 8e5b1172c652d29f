// URLs as Go's net/url reads them, errors included: messages of webhooks and their like show them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace km::registry {

struct GoUrl {
  std::string scheme;               // in lower case
  std::optional<std::string> user;  // "name" or "name:password", as it was given
  std::string host;                 // with the port
  std::string path;                 // as it was given
  std::string query;                // without "?"
  std::string fragment;             // without "#"
};

// 400 with Go's message where it is no URL: `parse "://": missing protocol scheme`.
Result<GoUrl> parseGoUrl(std::string_view text);

}  // namespace km::registry
