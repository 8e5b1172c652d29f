// Durations as Go's time package reads and writes them: "300ms", "-1.5h", "2h45m".
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace km {

// Errors read as Go's: time: invalid duration "x".
Result<Duration> parseDuration(std::string_view text);
// As Duration.String(): "1h2m3.5s", "1.5ms", "0s".
std::string formatDuration(Duration duration);

}  // namespace km
