// The systemd unit of a server.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace km {

// A word of a unit's command line that systemd reads back as it is.
std::string systemdWord(std::string_view word);
// The unit that runs `program` with `command`: a server and its flags.
std::string systemdUnit(std::string_view program, const std::vector<std::string>& command);

}  // namespace km
