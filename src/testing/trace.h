// What happens in a played world, line by line with its time; only written while somebody wants to read it. Writing it takes no memory: a run that is looked
// at is the same run.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

namespace km::testing {

void setTracing(bool on);
bool isTracing();
void traceLine(std::string_view line);

template <typename... Args>
void traceFormat(fmt::format_string<Args...> format, Args&&... args) {
  static char line[1 << 16];
  auto end = fmt::format_to_n(line, sizeof line, format, std::forward<Args>(args)...);
  traceLine({line, std::min(end.size, sizeof line)});
}

#define KM_TRACE(...)                                                          \
  do {                                                                         \
    if (::km::testing::isTracing()) ::km::testing::traceFormat(__VA_ARGS__); \
  } while (0)

}  // namespace km::testing
