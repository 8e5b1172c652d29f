// Hashes that become parts of names.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "codec/type.h"

namespace km::controllers {

// Of the JSON form of the object, and a count that tells collisions apart; in letters that spell no words.
std::string nameHash(const void* object, const codec::TypeInfo& type, std::optional<int32_t> collisions);
// Maps each character to an alphabet without vowels, as upstream's names.
std::string safeEncode(std::string_view text);

}  // namespace km::controllers
