#include <chrono>
#include <cstdio>

#include "base/log.h"
#include "testing/cluster.h"
#include "testing/trace.h"

using namespace km;
using namespace km::testing;

int main() {
  setLogSink([](Severity, std::string_view line) { traceLine(line.substr(0, line.size() - 1)); });
  begin(1);
  setTracing(true);
  Cluster c(3);
  c.observer.onChange([](const Change& ch) { KM_TRACE("{} {} {}", ch.revision, ch.removed ? "delete" : "put", ch.key); });
  c.boot();
  KM_TRACE("booted {} changes, hash {:x}, {}", changes(), traceHash(), c.observer.violation());
  sleepFor(std::chrono::minutes(10));
  KM_TRACE("later {} changes, hash {:x}, {}", changes(), traceHash(), c.observer.violation());
  std::fflush(stdout);
  ::_exit(0);
}
