// Flags of upstream's parts that are not built here, so that a command line that was made for upstream's part starts ours: those without an effect
// that anybody could miss are taken and told in the log; those that would change what is safe, or what is done, are refused with the reason.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/flags.h"

namespace km {

enum class Treatment : uint8_t {
  kNoEffect,  // any value is taken
  kOnly,      // only "nothing" (false, 0, empty) and the accepted value: the one that is so anyway
};

struct UpstreamFlag {
  uint8_t parts;
  std::string_view name, type, bare;
  Treatment treatment;
  std::string_view accepted, why;
};

std::span<const UpstreamFlag> upstreamFlags();
bool concerns(const UpstreamFlag& flag, std::string_view part);

// Adds those of `part` ("kube-apiserver") that `flags` does not have, hidden from the usage.
void addUpstreamFlags(FlagSet& flags, std::string_view part);

}  // namespace km
