// What happens in a played world, line by line with its time; only written while somebody wants to read it.
#pragma once

#include <fmt/format.h>

#include <string_view>

namespace km::testing {

void setTracing(bool on);
bool isTracing();
void traceLine(std::string_view line);

#define KM_TRACE(...)                                                                            \
  do {                                                                                           \
    if (::km::testing::isTracing()) ::km::testing::traceLine(fmt::format(__VA_ARGS__)); \
  } while (0)

}  // namespace km::testing
