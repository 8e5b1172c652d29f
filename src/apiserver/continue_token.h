// The continue token of paged lists: the revision that the first page was read at, and the key that the next begins with
// (apiserver/pkg/storage/continue.go).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace km::apiserver {

struct ContinueToken {
  int64_t revision = 0;   // -1: at any revision (after an expired token)
  std::string start;      // key below the resource's prefix
};

std::string encodeContinue(int64_t revision, std::string_view start);
// Errors are 400s: "continue key is not valid: ...".
Result<ContinueToken> decodeContinue(std::string_view token);

}  // namespace km::apiserver
