#include "testing/trace.h"

#include <cstdio>
#include <string>

#include "testing/threads.h"

namespace km::testing {

namespace {
bool tracing = false;
}

void setTracing(bool on) { tracing = on; }
bool isTracing() { return tracing; }
void traceLine(std::string_view line) {
  std::string out = fmt::format("{:10.4f} {}\n", std::chrono::duration<double>(playedTime()).count(), line);
  std::fwrite(out.data(), 1, out.size(), stdout);
}

}  // namespace km::testing
