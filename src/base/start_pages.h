// Gives back the memory that only the start of the program needed.
#pragma once

#include <cstddef>

namespace km {

// Lets go of the pages of the program's files that are mapped and unchanged: code and constants. Those that are still used come back from the
// page cache at the next touch (a minor fault); what only the start ran (flags, tables, bootstrap) stays away. Returns the bytes of address
// space looked at; 0 where /proc cannot be read. Call it once, when the servers have started.
size_t releaseStartPages();

}  // namespace km
