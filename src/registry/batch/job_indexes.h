// Sets of indexes of an Indexed job as its status and its success policy write them: "1,3-5,7".
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/result.h"

namespace km::registry {

// How many indexes the text names, all below `completions`; the error says why it is none.
Result<int32_t> countIndexes(std::string_view text, int32_t completions);
// The first index found in both; parts that cannot be read are passed over.
std::optional<int32_t> commonIndex(std::string_view completed, std::string_view failed, int32_t completions);

}  // namespace km::registry
