#pragma once

#include <string>
#include <string_view>

namespace km::registry {

// What is wrong with a schedule, in the words of upstream's cron parser; empty if it is fine.
std::string cronScheduleError(std::string_view schedule);
bool knownTimeZone(std::string_view zone);  // of the IANA database

}  // namespace km::registry
