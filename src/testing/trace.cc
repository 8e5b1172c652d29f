#include "testing/trace.h"

#include <cstdio>
#include <string>

#include "testing/threads.h"

namespace km::testing {

namespace {
bool tracing = false;
}

void setTracing(bool on) {
  static char room[1 << 16];
  if (on && !tracing) std::setvbuf(stdout, room, _IOFBF, sizeof room);
  tracing = on;
}
bool isTracing() { return tracing; }
void traceLine(std::string_view line) {
  char time[32];
  auto end = fmt::format_to_n(time, sizeof time, "{:10.4f} ", std::chrono::duration<double>(playedTime()).count());
  std::fwrite(time, 1, end.size, stdout);
  std::fwrite(line.data(), 1, line.size(), stdout);
  std::fputc('\n', stdout);
}

}  // namespace km::testing
