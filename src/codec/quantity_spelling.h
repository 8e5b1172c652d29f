// Quantities whose text says more than their number: kept once for the process, since quantities are plain bytes (type.h).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace km::codec {

struct Spelling {
  std::string text;
  __int128 nanos;
  bool exact;  // upstream holds it as a decimal of any length
};

// The id of a spelling, from 1 on, for ever; 0 when the table is full (then the number alone remains). Any thread.
uint32_t keepSpelling(std::string_view text, __int128 nanos, bool exact);
const Spelling& spellingOf(uint32_t id);

}  // namespace km::codec
